"""What a caller asks: a strict JSON body or a query, as a wire model."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug import Request

from service.core.errors import MalformedError
from service.core.strict_json import BadJsonError, parse_json
from service.web.problems import WrongFieldsError, WrongMediaTypeError
from service.web.transport import streamed_body, whole_body

Model = TypeVar("Model", bound=BaseModel)
_LARGEST = 64 * 1024


def read_body(request: Request, model: type[Model]) -> Model:
    """Return the body as a wire model.

    Raises:
        WrongMediaTypeError: It is not announced as JSON.
        MalformedError: It is not strict JSON.
        WrongFieldsError: It is not what the model takes.
    """
    if request.mimetype != "application/json":
        raise WrongMediaTypeError
    try:
        value = parse_json(whole_body(request, _LARGEST))
    except BadJsonError:
        raise MalformedError("The body is not strict JSON.", reason="bad_json") from None
    return _validated(model, value, "body")


def read_optional_body(request: Request, model: type[Model]) -> Model:
    """Return the body as a wire model; no body at all stands for an empty one.

    Raises:
        WrongMediaTypeError, MalformedError, WrongFieldsError: As ``read_body``.
    """
    chunks, _ = streamed_body(request)
    return _validated(model, {}, "body") if chunks is None else read_body(request, model)


def read_query(request: Request, model: type[Model]) -> Model:
    """Return the query as a wire model.

    Raises:
        WrongFieldsError: A parameter is unknown, repeated or wrong.
    """
    lists = request.args.to_dict(flat=False)
    if any(len(values) != 1 for values in lists.values()):
        raise WrongFieldsError([{"where": "query", "rule": "a parameter stands once"}])
    return _validated(model, {name: values[0] for name, values in lists.items()}, "query")


def refuse_query(request: Request) -> None:
    """Refuse parameters where an operation takes none: whoever sends one means something by it.

    Raises:
        WrongFieldsError: There is a query.
    """
    if request.args:
        raise WrongFieldsError([{"where": "query", "rule": "there are no parameters"}])


def _validated(model: type[Model], value: object, whole: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise WrongFieldsError([_shown(model, item, whole) for item in found]) from None


# These texts of pydantic quote the input.
_OWN_TEXT = {
    "extra_forbidden": "an unknown field",
    "union_tag_invalid": "not one of the known kinds",
    "union_tag_not_found": "the kind is missing",
}


def _shown(model: type[BaseModel], error: ErrorDetails, whole: str) -> dict[str, str]:
    """Return where and why; the name of an unknown member is the caller's own text, so it is not repeated."""
    location = error["loc"]
    known = bool(location) and str(location[0]) in model.model_fields
    where = ".".join(str(part) for part in location[:2]) if known else whole
    return {
        "where": where,
        "rule": _OWN_TEXT.get(error["type"], error["msg"].removeprefix("Value error, ")),
    }
