"""A worker that loads the saved model again by itself; a process for it takes longer than a run."""

from __future__ import annotations

from nbtransfer.engine import export, worker
from tests.engine.jobs import VerificationHere

if __name__ == "__main__":
    export.Verification = VerificationHere
    worker.main()
