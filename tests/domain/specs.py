"""Hypothesis strategies for Specs as data: whatever they give is valid."""

from typing import Any

from hypothesis import strategies as st

from deployments.domain import limits

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
words = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
secret_refs = st.one_of(
    st.from_regex(r"env:SCORING_SECRET_[A-Z0-9_]{1,20}", fullmatch=True),
    st.from_regex(r"keyvault:[a-z][a-z0-9-]{2,10}/[a-z0-9-]{1,20}", fullmatch=True),
    st.from_regex(r"output:[a-z]{1,8}/[a-z]{1,8}", fullmatch=True),
)
requirements = st.builds(
    "{}{}{}".format,
    st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z]", fullmatch=True),
    st.sampled_from(["", "[extra]", "[a,b]"]),
    st.sampled_from(["", "==1.2.3", " >= 1, < 2", "~=0.4", "; python_version < '3.12'"]),
)

uploaded = st.fixed_dictionaries({"artifact": digests})
registered = st.fixed_dictionaries(
    {"registered": st.fixed_dictionaries({"workspace": words, "name": words}, optional={"version": st.integers(1, 99)})}
)
methods = st.sampled_from(["predict", "predict_proba", "decision_function", "transform"])

http = st.fixed_dictionaries(
    {"kind": st.just("http")},
    optional={
        "route": st.sampled_from(["score", "v2/score", "A-b_c"]),
        "methods": st.lists(st.sampled_from(["POST", "GET", "PUT"]), min_size=1, max_size=3),
        "auth_level": st.sampled_from(["function", "anonymous", "admin"]),
    },
)
blob = st.fixed_dictionaries(
    {"kind": st.just("blob"), "path_in": st.just("in/{name}"), "path_out": st.just("out/{name}")}
)
service_bus = st.fixed_dictionaries({"kind": st.just("service_bus")}, optional={"queue_in": words.map("in-{}".format)})

whole_cache = st.fixed_dictionaries(
    {},
    optional={
        "policy": st.sampled_from(["on", "off", "auto"]),
        "ttl_seconds": st.integers(0, limits.MAX_TTL_SECONDS),
        "max_memory_mb": st.integers(limits.MIN_CACHE_MB, limits.MAX_CACHE_MB),
        "store_input": st.sampled_from(["whole", "none"]),
        "timeout_ms": st.integers(1, 5_000),
    },
)
masked_cache = st.fixed_dictionaries(
    {"store_input": st.just("masked"), "masked_fields": st.lists(words, min_size=1, max_size=4)}
)
runtimes = st.fixed_dictionaries(
    {},
    optional={
        "python": st.sampled_from(["3.10", "3.11", "3.12"]),
        "requirements": st.lists(requirements, max_size=5),
        "wheels": st.lists(digests, max_size=3),
        "index": st.fixed_dictionaries(
            {"url": st.just("https://packages.example.org/simple")}, optional={"credentials": secret_refs}
        ),
    },
)
inputs = st.fixed_dictionaries(
    {},
    optional={
        "parameter": words,
        "missing": st.sampled_from(["auto", "allow", "refuse"]),
        "max_rows": st.integers(1, limits.MAX_ROWS),
        "max_body_bytes": st.integers(1_024, limits.MAX_BODY_BYTES),
    },
)
tags = st.dictionaries(words, st.text(max_size=40), max_size=limits.MAX_TAGS)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """One Spec as data, with any of its parts left out."""
    data: dict[str, Any] = {"model": draw(st.one_of(uploaded, registered))}
    entry = draw(st.booleans())
    if entry:
        data["code"] = {"artifact": draw(digests), "entry_script": "score.py", "deterministic": draw(st.booleans())}
    else:
        data["model"]["method"] = draw(methods)
        data["execution"] = draw(st.sampled_from(["auto", "original", "onnx"]))
    parts = {
        "schema_version": st.just(1),
        "runtime": runtimes,
        "input": inputs,
        "trigger": st.one_of(http, blob, service_bus),
        "cache": st.one_of(whole_cache, masked_cache),
        "hosting": st.fixed_dictionaries({}, optional={"processes": st.integers(1, limits.MAX_INSTANCES)}),
        "tags": tags,
    }
    for name, strategy in parts.items():
        if draw(st.booleans()):
            data[name] = draw(strategy)
    return data
