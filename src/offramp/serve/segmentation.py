"""One picture in, its segmentation out: as a mask, over the picture, or in numbers."""

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile

from offramp.core.errors import BadInput
from offramp.data.colour import overlay
from offramp.serve.inference import answered, body_of, serving
from offramp.serve.pictures import decode_picture, encode_image, encode_mask
from offramp.serve.service import Service
from offramp.video.answer import Answer

Format = Literal["mask", "overlay", "json"]


async def segment(
    request: Request,
    format: Annotated[Format, Query(description="What comes back.")] = "mask",
    deadline_ms: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    exit: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """Segment a picture: PNG, JPEG, WebP or BMP, as the body or as the first file of a form.

    The mask is a PNG of class indices with the classes' colours; the overlay is a JPEG; JSON has
    the exit, its scores and each class's share. All tell the exit in their headers too.
    """
    service = serving(request)
    with service.images.one():
        content = await _picture(request)

        def work() -> Response:
            image = decode_picture(content, service.max_pixels)
            return _written(service, answered(service, image, deadline_ms, exit), format)

        return await service.work(work)


async def _picture(request: Request) -> bytes:
    """Take the picture's bytes from the body, or from the first file of a form."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await body_of(request)
    try:
        async with request.form(max_files=1, max_fields=8) as form:
            for _, value in form.multi_items():
                if isinstance(value, UploadFile):
                    return await value.read()
    except (ValueError, KeyError) as error:  # what parsers of forms raise at damaged ones
        raise BadInput("the form cannot be read", got=type(error).__name__) from None
    raise BadInput("the form has no file")


def _written(service: Service, answer: Answer, format: Format) -> Response:
    headers = {
        "X-Offramp-Exit": str(answer.exit),
        "X-Offramp-Point": answer.point,
        "X-Offramp-Latency-Ms": f"{answer.latency_ms:.3f}",
    }
    if format == "mask":
        mask = encode_mask(answer.labels, service.palette)
        return Response(mask, media_type="image/png", headers=headers)
    if format == "overlay":
        painted = overlay(answer.image, answer.labels, service.palette)
        return Response(encode_image(painted), media_type="image/jpeg", headers=headers)
    return JSONResponse(_numbers(service, answer), headers=headers)


def _numbers(service: Service, answer: Answer) -> dict[str, Any]:
    pixels = np.bincount(answer.labels.ravel(), minlength=service.model.classes)
    return {
        "exit": answer.exit,
        "point": answer.point,
        "scores": [list(scores) for scores in answer.scores],
        "latency_ms": answer.latency_ms,
        "involuntary": answer.involuntary,
        "late": answer.late,
        "size": list(answer.labels.shape),
        "classes": [
            {"name": name, "pixels": int(count), "share": float(count / answer.labels.size)}
            for name, count in zip(service.model.names, pixels, strict=False)
        ],
    }
