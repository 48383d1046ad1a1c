"""The tasks of notebook 14."""
# NOTE OF THE LEAD, 02:32: another helper has taken over lesson 14 (notebook, tasks, planted, claims, teaching page).
# Whoever had it beside another lesson: leave 14 alone, finish your first lesson and report.
