"""Which limit a connection is above that comes to a crowd."""

from merpati.policy.limit import Limit
from merpati.wire.listen import Crowd

CROWDS = {
    Crowd.BUSY: Limit.BUSY,
    Crowd.CONNECTIONS: Limit.CONNECTIONS,
    Crowd.PER_IP: Limit.CONNECTIONS_PER_ADDRESS,
}
