"""The API of one model as an OpenAPI document: its own columns, its own example. And the page that shows it."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from serinus_server import examples, schemas
from serinus_server.app import JSON, App
from serinus_server.http import Request
from serinus_server.inference.served import Served
from serinus_server.inference.tensors import DTYPES
from serinus_server.mlmodel import Recorded
from serinus_server.schemas import Schema
from serinus_server.values import Call

PAGE: Final = Path(__file__).with_name("docs.html")
_HTML: Final = (
    b"content-type: text/html; charset=utf-8\r\n"
    b"content-security-policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'\r\n"
    b"x-content-type-options: nosniff\r\n"
)
_MLFLOW: Final = "#/components/schemas/MlflowError"
_V2: Final = "#/components/schemas/V2Error"


def add(app: App, served: Served, recorded: Recorded, logged: bytes, example: Call | None) -> None:
    """Have /openapi.json and /docs answered; the example is the logged one, as bytes and as it was understood."""
    body = orjson.dumps(document(served, recorded, logged, example))
    page = PAGE.read_bytes()

    def tell(request: Request) -> None:
        app.answer(request, 200, JSON, body)

    def show(request: Request) -> None:
        app.answer(request, 200, _HTML, page)

    app.on("GET", "/openapi.json", tell)
    app.on("GET", "/docs", show)


def document(served: Served, recorded: Recorded, logged: bytes = b"", example: Call | None = None) -> Schema:
    """The whole document."""
    signature = recorded.signature
    body = examples.invocation(signature, logged)
    tensors = examples.inference(example.value) if example is not None else None
    model = f"/v2/models/{quote(served.name, safe='')}"
    return {
        "openapi": "3.1.0",
        "info": _info(served, recorded),
        # Relative to this document, so behind a path of a gateway too.
        "servers": [{"url": "."}],
        "paths": {
            "/invocations": {"post": _invocations(recorded, body)},
            f"{model}/infer": {"post": _infer(tensors)},
            model: {"get": _get("What goes in and out, as tensors", "v2")},
            f"{model}/ready": {"get": _get("Whether the model takes requests", "v2", 503)},
            "/v2": {"get": _get("What the server is", "v2")},
            "/v2/health/live": {"get": _get("Whether the server gets on", "v2", 503)},
            "/v2/health/ready": {"get": _get("Whether the server takes requests", "v2", 503)},
            "/feedback": {"post": _feedback()},
            "/ping": {"get": _get("Whether the server takes requests", "server", 503)},
            "/version": {"get": _get("The version of MLflow", "server", kind="text/plain")},
            "/metrics": {"get": _get("What was counted, for Prometheus", "server", kind="text/plain")},
        },
        "components": {"schemas": _components(recorded)},
    }


def _info(served: Served, recorded: Recorded) -> Schema:
    signature = served.metadata()
    columns = [one for one in recorded.signature.columns if one.name is not None]
    told = [{"name": str(one.name), "type": one.type, "required": one.required} for one in columns]
    return {
        "title": served.name,
        "version": served.version or "0",
        "description": "Predictions of one MLflow model, over MLflow's own protocol and the Open Inference Protocol.",
        "x-model": {
            "name": served.name,
            "version": served.version,
            "revision": served.revision,
            "platform": signature["platform"],
            "columns": told,
            "inputs": signature["inputs"],
            "outputs": signature["outputs"],
            "params": [
                {"name": one.name, "type": one.type, "default": one.default} for one in recorded.signature.params
            ],
        },
    }


def _invocations(recorded: Recorded, body: Any) -> Schema:
    signature = recorded.signature
    params: Schema = {"params": {"$ref": "#/components/schemas/Params"}} if signature.params else {}
    options = [
        {"type": "object", "title": name, "properties": {name: schema, **params}, "required": [name]}
        for name, schema in schemas.forms(signature).items()
    ]
    json: Schema = {"schema": {"oneOf": options}}
    if body is not None:
        json["examples"] = {"logged": {"summary": "The model's input example", "value": body}}
    content: Schema = {"application/json": json}
    if not signature.tensors:
        content["text/csv"] = {"schema": {"type": "string", "description": "A line of names, then a line for each row"}}
    predictions: Schema = {"type": "object", "properties": {"predictions": schemas.outputs(signature)}}
    return {
        "summary": "Predict, by MLflow's protocol",
        "operationId": "invocations",
        "tags": ["predict"],
        "requestBody": {"required": True, "content": content},
        "responses": _responses("The predictions, one for each row", predictions, _MLFLOW),
    }


def _infer(tensors: Any) -> Schema:
    json: Schema = {"schema": {"$ref": "#/components/schemas/V2Request"}}
    if tensors is not None:
        json["examples"] = {"logged": {"summary": "The model's input example, as tensors", "value": tensors}}
    answer = {"$ref": "#/components/schemas/V2Response"}
    return {
        "summary": "Predict, by the Open Inference Protocol",
        "operationId": "infer",
        "tags": ["predict", "v2"],
        "requestBody": {"required": True, "content": {"application/json": json}},
        "responses": _responses("The outputs, as tensors", answer, _V2),
    }


def _feedback() -> Schema:
    label: Schema = {"type": ["string", "number", "boolean"]}
    item: Schema = {
        "type": "object",
        "properties": {
            "request_id": {"type": "string", "description": "The x-request-id that came with the answer"},
            "label": label,
            "labels": {"type": "array", "items": label, "description": "One for each row, if there were several"},
        },
        "required": ["request_id"],
    }
    status = {"enum": ["joined", "unknown", "repeated", "mismatched"]}
    told: Schema = {"type": "object", "properties": {"request_id": {"type": "string"}, "status": status}}
    body: Schema = {"oneOf": [item, {"type": "array", "items": item}]}
    return {
        "summary": "Say what was true in the end",
        "operationId": "feedback",
        "tags": ["server"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": _answer("What became of each item", {"type": "array", "items": told}),
            "400": {"description": "An item is wrong; the message says which and how"},
        },
    }


def _get(summary: str, tag: str, other: int = 0, kind: str = "application/json") -> Schema:
    responses: Schema = {"200": {"description": summary, "content": {kind: {}}}}
    if other:
        responses[str(other)] = {"description": "No"}
    return {"summary": summary, "tags": [tag], "responses": responses}


def _responses(words: str, schema: Schema, error: str) -> Schema:
    problems = {
        "400": "The request does not fit the model's signature; the message names what, and what is wanted",
        "413": "The body is too large",
        "429": "Too many requests wait; retry-after says for how many seconds",
        "500": "The model failed",
        "503": "The server does not take requests",
        "504": "There was no prediction in time",
    }
    told = {code: _answer(meaning, {"$ref": error}) for code, meaning in problems.items()}
    headers = {name: {"schema": {"type": "string"}} for name in ("x-request-id", "x-model-name", "x-model-version")}
    return {"200": {**_answer(words, schema), "headers": headers}, **told}


def _answer(words: str, schema: Schema) -> Schema:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _components(recorded: Recorded) -> Schema:
    signature = recorded.signature
    shape: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    data: Schema = {"type": "array", "description": "Flat, row by row, or nested as the shape says"}
    fields: Schema = {"name": {"type": "string"}, "shape": shape, "datatype": {"enum": list(DTYPES)}, "data": data}
    tensor: Schema = {"type": "object", "properties": fields, "required": ["name", "shape", "datatype"]}
    tensors: Schema = {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}}
    wanted: Schema = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
    common: Schema = {"id": {"type": "string"}, "parameters": {"type": "object"}}
    told: Schema = {"model_name": {"type": "string"}, "model_version": {"type": "string"}, **common}
    text: Schema = {"type": "string"}
    made: Schema = {
        "Tensor": tensor,
        "V2Request": _object({**common, "inputs": tensors, "outputs": wanted}, "inputs"),
        "V2Response": _object({**told, "outputs": tensors}, "model_name", "outputs"),
        "MlflowError": _object({"error_code": text, "message": text}, "error_code", "message"),
        "V2Error": _object({"error": text}, "error"),
    }
    if signature.columns and all(one.name is not None for one in signature.columns):
        made["Row"] = schemas.of_columns(signature.columns)
    if signature.params:
        made["Params"] = schemas.of_params(signature.params)
    return made


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}
