"""Captions of scenes, in varied wording, and where their words are."""

from .objects import ANIMALS, COLOURS, KINDS
from .world import GROUNDS

_PLAIN_OPENINGS = ("", "", "", "a photo of ")
_BODIES = ("a {object} on the {ground}",) * 5 + (
    "a {object} {verb} on the {ground}", "a {object} {verb} on the {ground}", "a {object} in the {ground}",
    "{object} on {ground}", "a {object} on {ground}", "a {object}", "a {object}", "the {object} on the {ground}")
_ANIMAL_VERBS = ("walking", "walking", "standing", "running", "sitting")
_THING_VERBS = ("standing",)


def canonical(scene):
    """The caption that says everything in the commonest wording."""
    opening = "" if scene.style is None else scene.style + " of "
    return opening + f"a {_object(scene)} on the {scene.ground}"


def random_caption(scene, rng):
    """A caption drawn from the wordings; it may leave out the ground, never kind, colour or style."""
    if scene.style is None:
        opening = _PLAIN_OPENINGS[rng.integers(len(_PLAIN_OPENINGS))]
    else:
        opening = ("a " if rng.random() < 0.5 else "") + scene.style + " of "
    verbs = _ANIMAL_VERBS if scene.kind in ANIMALS else _THING_VERBS
    body = _BODIES[rng.integers(len(_BODIES))]
    return opening + body.format(object=_object(scene), ground=scene.ground, verb=verbs[rng.integers(len(verbs))])


def vocabulary():
    """Every word a caption can hold and some that editing prompts are likely to add, in the order of their tokens."""
    return (tuple("a the on in of at with and photo watercolor painting pencil sketch pixel art night style drawing "
                  "picture image standing walking running sitting under sky small big little , . video".split())
            + tuple(COLOURS) + KINDS + GROUNDS)


def _object(scene):
    return scene.kind if scene.colour is None else f"{scene.colour} {scene.kind}"
