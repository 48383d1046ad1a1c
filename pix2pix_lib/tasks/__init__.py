"""The tasks of the lessons, one file a lesson; a notebook imports its file as `task`."""

from importlib import import_module
from pathlib import Path

from .base import Assignment


def all_tasks() -> list[Assignment]:
    """Return the tasks of all lessons, in the order in which their files have them."""
    lessons = sorted(path.stem for path in Path(__file__).parent.glob("lesson_*.py"))
    modules = [import_module(f"{__name__}.{lesson}") for lesson in lessons]
    return [
        each for module in modules for each in vars(module).values() if isinstance(each, Assignment)
    ]
