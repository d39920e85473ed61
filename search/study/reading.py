"""Reading a study from its storage, whatever program wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.config.storage_url import StorageUrl
from search.study.storage import open_for_reading
from trainables.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.trial import FrozenTrial

_NAMED = 5


@dataclass(frozen=True)
class StoredStudy:
    """What a study holds: `directions` are "maximize" or "minimize", `metrics` the objectives' names where it says."""

    trials: list[FrozenTrial]
    attrs: dict[str, Any]
    directions: tuple[str, ...]
    metrics: tuple[str, ...] | None


def read_study(where: StorageUrl | Path, name: str) -> StoredStudy:
    """Read a study; nothing is written. `where` is as in `open_for_reading`.

    Raises:
        UserError: the storage cannot be read, or holds no study of that name; the line says which it holds.
    """
    import optuna

    with open_for_reading(where) as storage:
        names = optuna.study.get_all_study_names(storage)
        if name not in names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            others = f"; it holds {', '.join(map(repr, sorted(names)[:_NAMED]))}{more}" if names else ""
            raise UserError(f"{getattr(where, 'shown', where)} holds no study {name!r}{others}")
        study = optuna.load_study(study_name=name, storage=storage)
        metrics = study.metric_names
        return StoredStudy(
            trials=study.get_trials(deepcopy=False),
            attrs=study.user_attrs,
            directions=tuple(direction.name.lower() for direction in study.directions),
            metrics=None if metrics is None else tuple(metrics),
        )
