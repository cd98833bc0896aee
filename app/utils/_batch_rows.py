"""From instances and mappings to rows: mapper events, defaults, and each value as the driver takes it.

The rules are those of an ORM flush, so that a row is the same whichever way it was written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import JSON, Column, Dialect, LargeBinary, Table, UniqueConstraint, inspect, select, tuple_
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state, set_committed_value

T = TypeVar("T")
Values = Mapping[str, Any]
"""By attribute."""
Fire = Callable[[Any], None]
"""Runs the listeners of a mapper event on an instance."""
_LOADED_AT_ONCE = 500
"""Rows for one SELECT: each column of a key is a parameter, and SQLite allows 32,766 of them."""


@dataclass(slots=True)
class Row:
    """One row to be written."""

    index: int
    given: Any
    """The instance or mapping that it comes from."""
    key: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    """Of its columns, as `table.c` knows them."""
    values: tuple[Any, ...] = ()
    """In the order of `names`, as the driver takes them."""
    instance: Any = None
    """What learns that the row is stored."""
    learns: Values | None = None
    """Values that it does not know yet, or that its session need not write any more."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A column, and what a flush of the ORM does with it."""

    attribute: str
    name: str
    convert: Callable[[Any], Any] | None
    default: Callable[[], Any] | None
    on_update: Callable[[], Any] | None
    left_out: bool
    """Without a value: the database finds one."""
    stores_none: bool
    """`None` is a value, and not NULL (JSON)."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a row is made that lacks the values of certain columns."""

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    defaults: list[tuple[int, str, Callable[[], Any]]]
    """Of values that it lacks: place, attribute, and what makes one."""
    converters: list[tuple[int, Callable[[Any], Any]]]


class RowMaker(Generic[T]):
    """Makes the rows of one model for the database of one session."""

    def __init__(self, model: type[T], key: Sequence[str] | None, *, ready_made: bool) -> None:
        self._mapper: Mapper[T] = inspect(model)
        table = self._mapper.local_table
        if len(self._mapper.tables) != 1 or not isinstance(table, Table):
            raise TypeError(f"{model.__name__} is not mapped to exactly one table")
        if self._mapper.version_id_col is not None:
            raise TypeError(f"{model.__name__} has a version counter, which only the ORM keeps")
        self.table = table
        self._model = model
        self._ready_made = ready_made
        self._columns = _written_columns(self._mapper)
        self._primary = tuple(self._mapper.get_property_by_column(each).key for each in self._mapper.primary_key)
        self.key = tuple(key or self._primary)
        self._fields: list[_Field] = []

    def for_dialect(self, dialect: Dialect) -> None:
        """To be called before rows are made; later calls do nothing."""
        if not self._fields:
            self._fields = [_field(name, column, dialect) for name, column in self._columns.items()]
            self._optional = [
                (field.attribute, field.stores_none) for field in self._fields if field.default or field.left_out
            ]
            self._shapes: dict[tuple[str, ...], _Shape] = {}

    def column_names(self, attributes: Iterable[str]) -> tuple[str, ...]:
        """Raises TypeError for an attribute that is not a column."""
        names = tuple(attributes)
        self._refuse_unknown(names)
        return tuple(self._columns[name].key for name in names)

    def replaceable(self) -> tuple[str, ...]:
        """All columns but those that say which row it is."""
        return self.column_names(self._columns.keys() - {*self.key, *self._primary})

    def new(self, index: int, given: T | Values) -> Row:
        """A row to be inserted. Raises TypeError or ValueError for what cannot be."""
        if not isinstance(given, self._model) and isinstance(given, Mapping):
            self._refuse_unknown(given)
            return Row(index, given)
        if not self._state(given).transient:
            raise ValueError(f"this {self._model.__name__} is in a session or stored already")
        return Row(index, given, instance=given)

    def key_of(self, given: T | Values) -> tuple[Any, ...]:
        """Raises ValueError where a part of it is not given, TypeError for what is no row."""
        if isinstance(given, Mapping):
            self._refuse_unknown(given)
        else:
            self._state(given)
        values = _values(given)
        key = tuple(values.get(name) for name in self.key)
        if None in key:
            raise ValueError(f"a {self._model.__name__} without {' or '.join(self.key)} names no row")
        return key

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        if unknown := set(names).difference(self._columns):
            raise TypeError(f"{self._model.__name__} has no column {', '.join(sorted(unknown))}")

    def _state(self, given: T) -> InstanceState[T]:
        if not isinstance(given, self._model):
            raise TypeError(f"neither a {self._model.__name__} nor a mapping: {type(given).__name__}")
        return instance_state(given)

    def load(self, session: Session, rows: Sequence[Row], *, for_event: str) -> None:
        """Find the stored instances of rows that are not, so that validators and events see them whole."""
        listeners = getattr(self._mapper.dispatch, for_event)
        wanted = {}
        for row in rows:
            if not isinstance(row.given, Mapping) and not instance_state(row.given).transient:
                row.instance = row.given
            elif not self._ready_made and (listeners or for_event == "before_update"):
                wanted[row.key] = row
        keys, columns = list(wanted), [getattr(self._model, name) for name in self.key]
        with session.no_autoflush:
            for start in range(0, len(keys), _LOADED_AT_ONCE):
                some = keys[start : start + _LOADED_AT_ONCE]
                for instance in session.scalars(select(self._model).where(tuple_(*columns).in_(some))):
                    wanted[tuple(getattr(instance, name) for name in self.key)].instance = instance

    def insert(self, fire: Fire | None, row: Row) -> None:
        """Make an INSERT's values. Raises whatever an event, a validator or a type raises."""
        if row.instance is None and not self._ready_made:
            row.instance = self._model(**row.given)
        given = row.given
        if row.instance is not None:
            if fire:
                fire(row.instance)
            given = instance_dict(row.instance)
        shape = self._shape_of(given)
        values = [*map(given.get, shape.attributes)]
        learns = {}
        for place, attribute, default in shape.defaults:
            values[place] = learns[attribute] = default()
        for place, convert in shape.converters:
            values[place] = convert(values[place])
        row.names, row.values, row.learns = shape.names, tuple(values), learns

    def upsert(self, fire: Fire | None, row: Row) -> None:
        """The same for a row that may be there already, so that its key matters."""
        self.insert(fire, row)
        values = {**_values(row.given if row.instance is None else row.instance), **(row.learns or {})}
        row.key = tuple(values.get(name) for name in self.key)

    def _shape_of(self, given: Values) -> _Shape:
        lacking = tuple([
            name for name, stores_none in self._optional
            if given.get(name) is None and not (stores_none and name in given)
        ])  # fmt: skip
        if (shape := self._shapes.get(lacking)) is None:
            shape = self._shapes[lacking] = _shape(self._fields, lacking)
        return shape

    def update(self, fire: Fire | None, row: Row) -> None:
        """Make an UPDATE's values, the key among them; where nothing has changed, there are none."""
        given = {name: value for name, value in _values(row.given).items() if name in self._columns}
        if row.instance is not None:
            if row.instance is not row.given:
                for name in given.keys() - set(self.key):
                    setattr(row.instance, name, given[name])
            if fire:
                fire(row.instance)
            given = _changes(row.instance, self._columns.keys())
        changes = {name: value for name, value in given.items() if name not in self.key}
        if changes:
            changes |= {
                f.attribute: f.on_update() for f in self._fields if f.on_update and f.attribute not in changes
            }
            row.learns = changes
            self._set_values(row, dict(zip(self.key, row.key, strict=True)) | changes)

    def delete(self, fire: Fire | None, row: Row) -> None:
        if fire and row.instance is not None:
            fire(row.instance)
        self._set_values(row, dict(zip(self.key, row.key, strict=True)))

    def _set_values(self, row: Row, values: Values) -> None:
        fields = [field for field in self._fields if field.attribute in values]
        row.names = tuple(field.name for field in fields)
        given = ((field.convert, values[field.attribute]) for field in fields)
        row.values = tuple(value if convert is None else convert(value) for convert, value in given)

    def listeners(self, session: Session, event: str) -> Fire | None:
        """None where nobody listens, or the rows are ready-made."""
        listeners = getattr(self._mapper.dispatch, event)
        if not listeners or self._ready_made:
            return None
        mapper, connection = self._mapper, session.connection()
        every = [*listeners]

        def fire(instance: Any) -> None:
            state = instance_state(instance)
            for listener in every:
                listener(mapper, connection, state)

        return fire

    def stored(self, session: Session, row: Row, *, deleted: bool) -> None:
        """Let the instance know, and its session that there is nothing left to write."""
        if row.instance is None:
            return
        for name, value in (row.learns or {}).items():
            set_committed_value(row.instance, name, value)
        if deleted and row.instance in session:
            session.expunge(row.instance)

    def failed(self, session: Session, row: Row) -> None:
        """Keep the session from writing what could not be stored: its instance will be read anew."""
        if row.instance is not None and row.instance in session:
            session.expire(row.instance)

    def identity(self, row: Row) -> dict[str, Any]:
        """Those of the row's values by which a person can find it."""
        values = {**_values(row.given), **(row.learns or {})}
        unique = {
            each for some in self.table.constraints if isinstance(some, UniqueConstraint) for each in some.columns
        }
        names = (*self.key, *self._primary, *(name for name, column in self._columns.items() if column in unique))
        return {name: values[name] for name in dict.fromkeys(names) if values.get(name) is not None}


def _values(given: Any) -> Values:
    return given if isinstance(given, Mapping) else given.__dict__


def _changes(instance: Any, names: Set[str]) -> dict[str, Any]:
    """What was set since it was loaded, and is not as it was."""
    state: InstanceState[Any] = inspect(instance)
    touched = names - state.unmodified
    return {name: instance.__dict__[name] for name in touched if state.attrs[name].history.has_changes()}


def _written_columns(mapper: Mapper[Any]) -> dict[str, Column[Any]]:
    columns = ((attribute.key, attribute.columns[0]) for attribute in mapper.column_attrs)
    return {name: column for name, column in columns if isinstance(column, Column) and column.computed is None}


def _field(attribute: str, column: Column[Any], dialect: Dialect) -> _Field:
    default = _producer(column.default)
    database_finds = column.primary_key or column.server_default is not None or column.default is not None
    stores_none = column.type.should_evaluate_none
    return _Field(
        attribute=attribute,
        name=column.key,
        convert=_converter(column, dialect),
        default=default,
        on_update=_producer(column.onupdate),
        left_out=default is None and (database_finds or stores_none),
        stores_none=stores_none,
    )


def _converter(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """To what the driver takes; on PostgreSQL to what COPY takes, JSON as text and bytes as they are. The objects by
    which a statement's parameters tell their types take longer to make than the rest of the row."""
    kind = column.type.dialect_impl(dialect)
    if dialect.name == "postgresql" and isinstance(kind, LargeBinary):
        return None
    as_text = dialect.name == "postgresql" and isinstance(kind, JSON)
    of: Any = JSON if as_text else type(kind)  # JSONB's own makes an object
    convert: Callable[[Any], Any] | None = of.bind_processor(kind, dialect)
    return convert


def _shape(fields: Iterable[_Field], lacking: Sequence[str]) -> _Shape:
    written = [field for field in fields if field.default or field.attribute not in lacking]
    return _Shape(
        attributes=tuple(field.attribute for field in written),
        names=tuple(field.name for field in written),
        defaults=[(n, f.attribute, f.default) for n, f in enumerate(written) if f.default and f.attribute in lacking],
        converters=[(n, field.convert) for n, field in enumerate(written) if field.convert],
    )


def _producer(default: Any) -> Callable[[], Any] | None:
    """Of a default that is a plain value or a function; SQL expressions and sequences are left to the database."""
    if default is None or not (default.is_scalar or default.is_callable):
        return None
    # SQLAlchemy makes every function one of the statement's context, which there is none of.
    return partial(default.arg, None) if default.is_callable else lambda: default.arg
