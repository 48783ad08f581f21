"""Pure planners: facts in, a Plan out; the same facts give the same Plan, byte for byte."""

__all__: list[str] = []
