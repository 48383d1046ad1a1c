"""The tasks of notebook 11."""
# NOTE OF THE LEAD, 02:32: another helper has taken over lesson 11 (notebook, tasks, planted, claims, teaching page).
# Whoever had it beside another lesson: leave 11 alone, finish your first lesson and report.
