"""Null in what clients send: the libraries of some languages write it wherever nothing is said."""

from __future__ import annotations

from pydantic import BaseModel, model_validator


class NullsUnsaid(BaseModel):
    """Fields among which a null is the same as none: the default holds."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, said: object) -> object:
        if isinstance(said, dict):
            return {name: value for name, value in said.items() if value is not None}
        return said
