"""The engine: builds what was paid for, without ever spending twice.

outcomes   what a step function may answer
specs      what a step and a stack are
doorbell   the queue, which only rings
claims     who works on a run: lease and fencing token
budget     who may call a platform now: permits, bulkhead, circuit
ledger     the one way a write leaves the house
reader     the one way a read does
wave       which items are ready for which step
recorder   writes what a step answered, in one fenced commit
runner     a wake-up of a run, from claim to release
supervisor the tick: claims due work and rings
"""
