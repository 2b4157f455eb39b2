"""An entry script that takes the request as it came; the names are those of the older package."""

from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from flask import after_this_request


def init():
    assert AMLRequest.__mro__[1].__name__ == "Request"


@rawhttp
def run(request):
    if request.method == "GET":
        return {"query": request.args.to_dict(flat=False), "path": request.path, "x": request.headers.get("X-Own")}
    if request.method == "OPTIONS":
        return AMLResponse("asked", 200)
    if request.args.get("after"):

        @after_this_request
        def later(response):
            response.headers["X-After"] = "yes"
            return response

    if request.is_json:
        return {"json": request.get_json(), "length": request.content_length}
    if request.form or request.files:
        return {"form": request.form.to_dict(), "files": {k: f.read().decode() for k, f in request.files.items()}}
    data = request.get_data()
    return AMLResponse(data[::-1], 200, {"Content-Type": request.content_type or "x/none", "X-Length": str(len(data))})
