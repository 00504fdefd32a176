"""What ``drctl explain`` says about each code that is not about a runbook's text."""

from pathlib import Path

from drctl.runbook.codes import CODES as RUNBOOK_CODES


def topics() -> dict[str, Path]:
    """Topics by name."""
    folder = Path(__file__).parent.parent / "topics"
    return {path.stem: path for path in sorted(folder.glob("*.md"))}


CODES: dict[str, str] = {
    **RUNBOOK_CODES,
    "DR1091": "No runbook file of that name is in ./runbooks or among the shipped ones.",
    "DR1092": "The runbook file cannot be read.",
    "DR1094": "A runbook that includes itself, however far down, would never end.",
    "DR1095": "A script, or a Markdown file of scripts, is larger than anybody writes: 256 KiB, a"
    " line of 20,000 characters, 2,000 commands or 200 blocks.",
    "DR1096": "drctl runbook import needs libraries that drctl does without otherwise:"
    " pip install 'drctl[import]'.",
    "DR1097": "A Markdown file without a block of shell: nothing can be imported from it.",
    "DR1098": "An import never writes over a file, and a draft for each script needs a folder.",
    "DR1099": "A new runbook is never written over a file that is there.",
    "DR1100": "A draft begins with the shipped runbook of its scenario; there is none, or several"
    " of which one must be named with --like.",
    "DR1093": "No runbook, or more than one, is for this scenario. The environment file decides"
    " with runbooks: {SCENARIO: NAME}.",
    "DR2001": "A step failed. The state of the world is under now, its own words are under why.",
    "DR2002": "A step may or may not have had its effect: no answer came, and reading back could"
    " not tell. Look at the target by other means before anything is repeated.",
    "DR2003": "The run stopped before its goal, at no fault of a step.",
    "DR2004": "After a promotion two primaries may take writes, or nothing has proven that there is"
    " one. Nothing may be told to be recovered before that is known.",
    "DR2005": "An undo failed. What was undone before it stays undone; the same command again looks"
    " and goes on. The failure that it was to mend is shown beside it.",
    "DR2006": "An undo may or may not have happened. The same command again looks once more.",
    "DR3001": "A run has one process at a time. This one is live elsewhere.",
    "DR3003": "Only a live process hears an answer; this run has none.",
    "DR3004": "The gate is not open: not yet, not any more, or it is called otherwise.",
    "DR3005": "The run has reached its end; there is nothing to continue.",
    "DR3006": "The run stopped at something that time does not mend: a failed step, or a loss above"
    " the RPO. A person decides: drctl retry, drctl skip with a reason, or drctl undo.",
    "DR3007": "A run that was cancelled, or that is being undone, goes forward no more. Undo it, or"
    " start a new one.",
    "DR3008": "The run cannot follow that order as it stands now; drctl status says how it stands.",
    "DR3009": "There is nothing that may be undone. Past a promotion there is only forward: undoing"
    " what came before it would undo what makes it safe.",
    "DR3014": "A debt is closed when its run has ended: until then the run may pay it itself.",
    "DR3010": "The process of this run died before its first event: nothing was sent, and there is"
    " nothing to resume.",
    "DR3101": "The RPO gate. The bound on acknowledged writes that a failover now would lose is"
    " larger than the objective, or nobody can bound it. Unknown counts as too large."
    " A person may accept a named amount with --accept-data-loss and a --reason; both"
    " go into the record.",
    "DR3102": "A failover asks for the name of the region that will serve, and a run in a protected"
    " environment for the environment's name, typed by a person or given with --confirm. Anything"
    " else is a no.",
    "DR3221": "--assume-down takes a region, as us-east-1, or us-east-1=silent when it is cut off"
    " and may be alive. It must be one that the plan or its environment has to do with.",
    "DR3222": "A plan with --assume-down tells what would fail. It has not looked at the world as"
    " it is, so it can be neither saved nor run.",
    "DR3301": "People are enrolled in this environment, so a gate takes signed answers only:"
    " drctl approve RUN GATE --key FILE, or, from a machine that has a key and nothing else,"
    " drctl approval request, drctl approval sign, drctl approve --token.",
    "DR3302": "The key is not enrolled for anybody whom the gate asks, or the file holds none."
    " drctl key new makes one; the environment's people: enrols it; the plan keeps who was"
    " enrolled when it was made.",
    "DR3303": "A signed answer that does not count: it is not whole, for another plan, run, gate or"
    " environment, expired, used before, about another question, by somebody who is not asked, or"
    " by who asks for the run. The reason is under why, and in the run's record.",
    "DR3304": "Somebody has said no. That is final for the plan: make a new one, so that whoever"
    " decides sees what is true now.",
    "DR3305": "A gate that is not for who asks must know who asks. The environment's people have a"
    " login: each; where none fits, --as PERSON says it, and the record calls it a claim.",
    "DR3306": "A gate needs more different people than are enrolled with a fitting role and a key,"
    " not counting who starts the run unless the gate has self_approval: true. It could only"
    " expire.",
    "DR3307": "A key is never written over another file.",
    "DR3201": "A saved plan runs only in the world that it was made for. Something that was "
    "observed then is different now.",
    "DR3202": "A plan that was made offline has looked at nothing. It is for reading and for CI.",
    "DR3203": "The file is not a plan that this version of drctl saved.",
    "DR3501": "One run at a time changes a target, whatever the runbooks are called. Another has"
    " one of this plan's targets; resume that run, or take its lease away when it is dead.",
    "DR3502": "The run is live in another process: its lease was renewed while it was watched.",
    "DR3503": "The same targets were failed over within the cool-down (cool_down: of the"
    " environment, 60m). A second failover needs --again and a --reason; both go into the record.",
    "DR3504": "The store of leases (lease: of the environment) does not answer. Nobody can say who"
    " else is at work, so nothing is started.",
    "DR3505": "What is where leases are kept was written by something else, or by a newer drctl.",
    "DR3506": "The run is not in the book of leases.",
    "DR3507": "A lease that is renewed belongs to a live process, and is not broken.",
    "DR3508": "The book of leases says that the run has reached its end. A copy of its folder was"
    " resumed on another machine; going on with this one would do everything a second time.",
    "DR3204": "The file is not byte for byte the plan that was saved: something in it was changed.",
    "DR3205": "A plan is a look at the world, and gets old: 15 minutes, or plan_expires_after of"
    " the environment. Judged by the later of now and the latest time in any run's record, so that"
    " a clock that is set back makes nothing young again.",
    "DR3206": "The plan changes more different things than limits.max_targets of the environment"
    " (10 when it does not say). A selector that matched too much looks like this.",
    "DR3208": "The runbook, the environment file or the code of an action is not the one that the"
    " saved plan was made from. What was approved would not be what you think you run.",
    "DR3210": "The step is not one that the forecast counts: its name is another one, or it is a"
    " step of finally, for which the clock does not wait.",
    "DR4001": "The journal's chain of hashes is broken: a line is not what was written.",
    "DR4002": "Another process took the run's folder, or it is gone. Nothing further is sent.",
    "DR4003": "The run's folder cannot be written or read. Nothing is sent that is not on disk "
    "first.",
    "DR4005": "The folder's plan has another digest than the journal's first event says: one of the"
    " two was replaced.",
    "DR4010": "No open debt has that id.",
    "DR4004": "No run, or more than one, has that id or that beginning.",
    "DR5001": "No environment of that name, or it cannot be read.",
    "DR5002": "Something in the environment file is wrong; the position says where.",
    "DR5006": "Two installed packages offer an action of the same name.",
    "DR5101": "A secret reference leads nowhere, or to a file that others than its owner may read.",
    "DR5201": "An identity is not the one that the environment pins: another account, cluster "
    "or database answers. Nothing was changed.",
    "DR5202": "An identity that must hold before a change did not answer.",
    "DR5301": "One lab per user and DRCTL_LAB_NET.",
    "DR5302": "The command needs a lab that is up.",
    "DR5303": "The lab did not come up; its supervisor's last words are quoted.",
    "DR5304": "The lab's client runs already.",
    "DR5305": "The lab has two regions: us-east-1 and us-west-2.",
    "DR5306": "A verdict needs a client's record: start one with drctl lab traffic.",
    "DR5307": "The lab's supervisor refused or failed; its words are quoted.",
    "DR5308": "The lab's client did not start; its last words are quoted.",
    "DR5309": "drctl lab up --shape takes one of the names listed.",
    "DR9001": "A bug in drctl. DRCTL_DEBUG=1 shows where.",
    "DR9002": "The disk that drctl was to write to is full, or broken.",
    "DR9404": "No error has that code.",
}
