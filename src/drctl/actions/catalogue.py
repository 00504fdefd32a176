"""What can be said of an action without any environment."""

from drctl.actions.registry import AnyAction
from drctl.actions.targets import Target


class _Anything:
    """Stands for a target of which nothing is known: each of its parts is called as it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "_Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name)

    def __str__(self) -> str:
        return f"<{self._name}>"

    def __format__(self, spec: str) -> str:
        return str(self)


def planes_of(action: AnyAction) -> tuple[str, ...]:
    """
    The planes that an action cannot work without, with names in the place of what its target would
    say: ``data-plane:<region>``. Of one whose planes depend on more than names: ``depends``.
    """
    if not action.targets:
        return action.planes(Target())
    try:
        planes = action.planes(_Anything("target"))
    except (TypeError, ValueError, AttributeError):
        return ("depends",)
    # Who goes by the kind of its target finds none here.
    return tuple(dict.fromkeys(plane.replace(":None", ":<region>") for plane in planes))
