"""The codes of everything that can be wrong with a runbook, for ``drctl explain``."""

from collections.abc import Mapping
from types import MappingProxyType

CODES: Mapping[str, str] = MappingProxyType(
    {
        "DR1000": "The file cannot be read, or is not UTF-8.",
        "DR1001": "The text is not YAML, is empty, or holds a character that no text file holds.",
        "DR1002": "The file is larger than 1 MiB, deeper than 32, or has over 20,000 values.",
        "DR1003": "A part of YAML that is not accepted: anchor, alias, tag, merge key, directive, a"
        " second document, or a key that is not text. Write the value out.",
        "DR1004": "A key is written twice in one mapping. Only the first counts; remove one.",
        "DR1005": "yes, no, on and off are booleans to YAML 1.1 and text to YAML 1.2. Put the word"
        " in quotes, or write true or false.",
        "DR1010": "A key that the language, or the action's params, does not have.",
        "DR1011": "A key that must be there is not.",
        "DR1012": "A value of the wrong kind.",
        "DR1013": "A duration is text with units, as in 4m30s. A bare number is none.",
        "DR1014": "Ids and names are snake_case: a hyphen is minus in an expression.",
        "DR1015": "A step has either uses or gate, and only the keys that go with it.",
        "DR1016": "The default, a choice or a limit of an input does not fit that input.",
        "DR1020": "A step needs a step that is not there.",
        "DR1021": "Steps wait for each other. Cut the ring at one of them.",
        "DR1022": "Two steps have the same id.",
        "DR1023": "stops_after names a step that is not there.",
        "DR1024": "A step names a gate that is not under gates.",
        "DR1025": "A step names a target that is not under targets.",
        "DR1030": "A value that looks like a secret. A runbook holds none: it names targets, and"
        " the environment holds references such as env:NAME.",
        "DR1031": "A change would act on something that is empty, blank, a wildcard or an"
        " expression that is none. Empty selects nothing; a change names what it acts on, one by"
        " one.",
        "DR1040": "An expression that does not compile.",
        "DR1041": "An expression refers to something that is not there.",
        "DR1042": "An expression refers to a step that is not known to be over at this place. Only"
        " steps that this one waits for, directly or not, may be mentioned.",
        "DR1043": "An expression gives a value of a type that does not fit here.",
        "DR1044": "An expression has no value: a division by zero, a key that is not there.",
        "DR1050": "No installed adapter has this action: drctl action list.",
        "DR1051": "The action needs a target and has none, or takes none and has one.",
        "DR1052": "The target is of a kind that the action does not act on.",
        "DR1053": "The environment has no target of this name.",
        "DR1060": "A promotion without a fence. A step before it must make certain that the old"
        " primary of the same database takes no writes, always, not only under a when.",
        "DR1061": "A promotion without a measurement. A step before it must always measure what"
        " would be lost, or the RPO gate has nothing to read.",
        "DR1068": "A promotion without proof. A step after it must always show that one primary"
        " takes writes and no other one does, or the run can only end as unsafe.",
        "DR1062": "A step that uses an action needs a timeout, and one that changes something an"
        " estimate: nothing waits without a deadline.",
        "DR1063": "on_failure: continue is for steps that read or notify.",
        "DR1064": "A change waits for a message. Messages never delay a recovery: give the step"
        " behind the message its own needs.",
        "DR1065": "until repeats a reading step, every so often.",
        "DR1066": "retry.on_errors names a kind of failure that does not exist.",
        "DR1067": "verify looks, undo takes back; an action of this effect can do neither.",
        "DR1070": "A waiver names a step that is not there.",
        "DR1080": "An input was given that the runbook does not have.",
        "DR1081": "An input is missing that has no default.",
        "DR1082": "The value given for an input does not fit it.",
        "DR1090": "A part of the language that this version does not have.",
    }
)
