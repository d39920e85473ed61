"""Credentials of buckets, handed from the driver to the trials' processes by a way that no log has.

Ray Tune gives AWS' to trials in their runtime environment, which Ray writes into its session's logs, readable for all.
Processes of a local Ray inherit the environment anyway; those of a cluster find them in the memory of Ray's head.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.experimental import internal_kv
from ray.tune.execution import class_cache

from trainables.config import AWS_CREDENTIALS, CREDENTIALS_PLACE


@contextmanager
def credentials_handed_on() -> Iterator[None]:
    """Hand this process's on to trials that begin in the body (`trainables.trial.take_credentials`)."""
    before = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = before - set(AWS_CREDENTIALS)
    found = {name: os.environ[name] for name in AWS_CREDENTIALS if name in os.environ and ray.is_initialized()}
    job = ray.get_runtime_context().get_job_id().encode() if found else b""
    if found:
        internal_kv._internal_kv_put(CREDENTIALS_PLACE, json.dumps(found).encode(), namespace=job)
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = before
        if found:
            internal_kv._internal_kv_del(CREDENTIALS_PLACE, namespace=job)
