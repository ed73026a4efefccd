"""One suite for every backend.

In a plugin's test file::

    from orch.testing.conformance import BackendConformance
    from orch.testing.workloads import Containers

    class TestMyBackend(BackendConformance):
        @pytest.fixture
        def backend(self):
            made = MyBackend({})
            yield made
            made.close()

        @pytest.fixture
        def workload(self):
            return Containers("registry.example.com/busybox:1")

Cases are chosen by `Capabilities.features`, never by the backend's name.
"""

from orch.testing.conformance.changes import ChangeCases
from orch.testing.conformance.deploys import DeployCases
from orch.testing.conformance.looks import LookCases
from orch.testing.conformance.order import OrderCases
from orch.testing.conformance.refusals import RefusalCases
from orch.testing.conformance.secrecy import SecrecyCases
from orch.testing.conformance.trial import Trial as Trial
from orch.testing.conformance.trial import needs as needs


class BackendConformance(
    DeployCases, ChangeCases, OrderCases, LookCases, SecrecyCases, RefusalCases
):
    """All cases."""
