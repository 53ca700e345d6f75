"""Where candidates are kept: one trial of an Optuna study each, in a file or a shared database.

A trial's parameters are the static knobs, its values latency and IoU, so Optuna's dashboard shows
the front; the whole record stands in the trial's attribute "candidate". Several machines may
write: of two trials with one id the earlier counts, and whoever made the other learns of it.
"""

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from offramp.core.errors import BadInput, MissingExtra
from offramp.core.model import format_size
from offramp.tuning.candidate import Candidate
from offramp.tuning.knobs import Setting, Space

if TYPE_CHECKING:
    import optuna

NAME = "offramp-tune"
CANDIDATE, WORKER, TOLD = "candidate", "worker", "told"


class Ledger:
    """The candidates of a study.

    Args:
        out: folder of the study on this machine.
        space: what may be turned.
        url: a database that several machines share; absent: the file `study.db` in the folder.

    Raises:
        MissingExtra: Optuna is not installed.
        BadInput: the database cannot be used.
    """

    def __init__(self, out: Path, space: Space, url: str | None = None) -> None:
        self._optuna = _optuna()
        self.space = space
        self.worker = f"{socket.gethostname()}:{out.resolve()}"
        try:
            self.study = self._optuna.create_study(
                storage=url or f"sqlite:///{(out / 'study.db').resolve()}",
                study_name=NAME,
                directions=["minimize", "maximize"],
                load_if_exists=True,
            )
        except Exception as error:  # SQLAlchemy and its drivers raise what they like
            raise _unusable(url or str(out / "study.db"), error) from None

    def told(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Note what the study is about, unless that is noted already; returns what is noted."""
        if TOLD not in self.study.user_attrs:
            self.study.set_user_attr(TOLD, yaml.safe_dump(dict(arguments)))
        known: dict[str, Any] = yaml.safe_load(self.study.user_attrs[TOLD])
        return known

    def all(self) -> list[Candidate]:
        """List the candidates in the order in which they were proposed."""
        return [Candidate.parse(_record(trial), "the study") for trial in self._trials().values()]

    def get(self, id: str) -> Candidate | None:
        """Look a candidate up."""
        trial = self._trials().get(id)
        return None if trial is None else Candidate.parse(_record(trial), "the study")

    def mine(self, id: str) -> bool:
        """Tell whether this machine proposed a candidate, and so trains it."""
        return bool(self._trials()[id].user_attrs[WORKER] == self.worker)

    def add(self, candidate: Candidate) -> bool:
        """Propose a candidate; tells whether nobody else did before."""
        if candidate.id in self._trials():
            return False
        names = {**dict(candidate.knobs), "size": format_size(candidate.size)}
        choices = self._choices()
        params = {name: value for name, value in names.items() if name in choices}
        self.study.add_trial(
            self._optuna.trial.create_trial(
                state=self._optuna.trial.TrialState.RUNNING,
                params=params,
                distributions={name: choices[name] for name in params},
                user_attrs={
                    CANDIDATE: candidate.model_dump_json(),
                    WORKER: self.worker,
                    "id": candidate.id,
                    "stage": candidate.stage,
                },
            )
        )
        won = self.mine(candidate.id)
        if won:
            self._close(candidate)
        else:
            self._withdraw(candidate.id)
        return won

    def update(self, candidate: Candidate) -> None:
        """Replace a candidate's record; a final one closes its trial."""
        trial = self._trials()[candidate.id]
        if not trial.state.is_finished():
            live = self._optuna.trial.Trial(self.study, trial._trial_id)
            live.set_user_attr(CANDIDATE, candidate.model_dump_json())
            self._close(candidate)

    def sample(self, left: Iterable[Setting], seed: int) -> Setting | None:
        """Let Optuna choose among the settings that are left: fast and accurate ones.

        A study in memory holds what is known of the values still in play, so the shared one
        holds no trial but those of real candidates.
        """
        space = self.space
        waiting = {space.name(setting): setting for setting in left}
        if not waiting:
            return None
        optuna = self._optuna
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
        draft = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
        choices = _values(waiting.values(), space)
        drawn_from = {
            name: optuna.distributions.CategoricalDistribution(values)
            for name, values in choices.items()
        }
        for trial in self._trials().values():
            known = {name: trial.params.get(name) for name in choices}
            if trial.values and all(known[name] in choices[name] for name in choices):
                draft.add_trial(
                    optuna.trial.create_trial(
                        params=known, distributions=drawn_from, values=trial.values
                    )
                )
        for _ in range(50):
            drawn = draft.ask(drawn_from).params
            for setting in waiting.values():
                if _matches(setting, drawn):
                    return setting
        return next(iter(waiting.values()))

    def _withdraw(self, id: str) -> None:
        """Give up a trial that came second."""
        for trial in self.study.get_trials(deepcopy=False):
            same = trial.user_attrs.get("id") == id and not trial.state.is_finished()
            if same and trial.user_attrs[WORKER] == self.worker:
                self.study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def _close(self, candidate: Candidate) -> None:
        """Tell Optuna how a candidate ended, if it has."""
        states = self._optuna.trial.TrialState
        number = self._trials()[candidate.id].number
        if candidate.finished and candidate.latency is not None and candidate.iou is not None:
            self.study.tell(number, [candidate.latency.median_ms, candidate.iou])
        elif candidate.status in ("too-slow", "stopped"):
            self.study.tell(number, state=states.PRUNED)
        elif candidate.status == "failed":
            self.study.tell(number, state=states.FAIL)

    def _trials(self) -> dict[str, "optuna.trial.FrozenTrial"]:
        """Find each candidate's trial; of two with one id the earlier."""
        found: dict[str, Any] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if CANDIDATE in trial.user_attrs:
                found.setdefault(trial.user_attrs["id"], trial)
        return found

    def _choices(self) -> dict[str, Any]:
        """Say what values each parameter can have."""
        categorical = self._optuna.distributions.CategoricalDistribution
        levels = {knob: categorical(list(values)) for knob, values in self.space.levels.items()}
        return {"size": categorical([format_size(s) for s in self.space.sizes]), **levels}


def require_storage(url: str | None) -> None:
    """Refuse a database that cannot be used, before anything is written elsewhere.

    Raises:
        MissingExtra: Optuna is not installed.
        BadInput: the database cannot be used.
    """
    optuna = _optuna()
    if url is None:
        return
    try:
        optuna.storages.get_storage(url)
    except Exception as error:
        raise _unusable(url, error) from None


def _unusable(storage: str, error: Exception) -> BadInput:
    lines = str(error).splitlines() or [type(error).__name__]
    return BadInput(
        f"the storage {storage} cannot be used",
        expected="a database URL, as in postgresql://user@host/name",
        got=lines[0],
    )


def _values(settings: Iterable[Setting], space: Space) -> dict[str, list[Any]]:
    """List the values that are in play, by parameter."""
    known = list(settings)
    levels = {knob: sorted({dict(s.knobs)[knob] for s in known}) for knob in space.levels}
    return {"size": sorted({format_size(s.size) for s in known}), **levels}


def _matches(setting: Setting, drawn: dict[str, Any]) -> bool:
    own = {**dict(setting.knobs), "size": format_size(setting.size)}
    return all(own[name] == value for name, value in drawn.items())


def _record(trial: "optuna.trial.FrozenTrial") -> dict[str, Any]:
    import json

    value: dict[str, Any] = json.loads(trial.user_attrs[CANDIDATE])
    return value


def _optuna() -> Any:
    """Import Optuna, and keep its log lines off the terminal."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtra("optuna", "train", "offramp tune") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
