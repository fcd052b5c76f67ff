import Testing

@testable import Postgres

/// Every decision of the pool, without a server.
@Suite struct PoolStateTests {
    final class Link {}
    typealias State = PoolState<Link, String>

    private let broken = PostgresError(.connectionFailed, "refused")
    private let refused = PostgresError(.authenticationFailed, "wrong password", sqlState: .invalidPassword)

    private func describe(_ actions: [State.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .resume(let waiter, _): "resume \(waiter)"
            case .fail(let waiter, let error):
                "fail \(waiter): " + ((error as? PostgresError)?.code.rawValue ?? "\(type(of: error))")
            case .connect: "connect"
            case .retryLater(let failures): "retry \(failures)"
            case .restore: "restore"
            case .close: "close"
            case .drained: "drained"
            }
        }
    }

    private func connected(size: Int) -> (State, [Link]) {
        var state = State(size: size)
        let links = (0..<size).map { _ in Link() }
        for (index, link) in links.enumerated() {
            _ = state.wait(UInt64(index), "w\(index)")
            _ = state.connected(link)
        }
        return (state, links)
    }

    @Test func itOpensOneConnectionForEachWaiterUpToItsSize() {
        var state = State(size: 2)
        #expect(describe(state.wait(1, "a")) == ["connect"])
        #expect(describe(state.wait(2, "b")) == ["connect"])
        #expect(describe(state.wait(3, "c")) == [])
        #expect(state.connectionCount == 2)
    }

    @Test func waitersAreServedInOrder() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        _ = state.wait(12, "b")
        #expect(describe(state.release(links[0], .clean)) == ["resume a"])
        #expect(describe(state.release(links[0], .clean)) == ["resume b"])
        #expect(describe(state.release(links[0], .clean)) == [])
        #expect(state.lease() === links[0])
    }

    @Test func aNewcomerDoesNotOvertakeWaiters() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        #expect(state.lease() == nil)
        #expect(describe(state.release(links[0], .clean)) == ["resume a"])
    }

    @Test func aBrokenConnectionIsReplacedForWhoeverWaits() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        #expect(describe(state.release(links[0], .closed)) == ["connect"])
        #expect(describe(state.connected(Link())) == ["resume a"])
    }

    @Test func aDirtyConnectionIsCleanedBeforeTheNextCaller() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        #expect(describe(state.release(links[0], .dirty)) == ["restore"])
        #expect(state.connectionCount == 1)
        #expect(describe(state.restored(links[0])) == ["resume a"])
    }

    @Test func aConnectionThatCannotBeCleanedIsReplaced() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        _ = state.release(links[0], .dirty)
        #expect(describe(state.closed(links[0])) == ["connect"])
        // Its thread reports the end a second time.
        #expect(describe(state.closed(links[0])) == [])
        #expect(state.connectionCount == 1)
    }

    @Test func aLeasedConnectionThatBreaksKeepsItsPlaceUntilItIsReleased() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        #expect(describe(state.closed(links[0])) == [])
        #expect(describe(state.release(links[0], .closed)) == ["connect"])
    }

    @Test func cancellingAWaiterFailsItAndOnlyIt() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        _ = state.wait(12, "b")
        #expect(describe(state.cancel(11)) == ["fail a: CancellationError"])
        #expect(describe(state.release(links[0], .clean)) == ["resume b"])
    }

    @Test func aCancellationThatComesFirstWins() {
        var (state, links) = connected(size: 1)
        #expect(describe(state.cancel(11)) == [])
        _ = state.release(links[0], .clean)
        #expect(describe(state.wait(11, "a")) == ["fail a: CancellationError"])
        #expect(state.lease() === links[0])
    }

    @Test func aCancellationThatComesLateLeavesNoTrace() {
        var (state, links) = connected(size: 1)
        _ = state.wait(11, "a")
        _ = state.release(links[0], .clean)
        #expect(describe(state.cancel(11)) == [])
        state.forget(11)
        #expect(describe(state.wait(11, "again")) == [])
    }

    @Test func waitingTooLongSaysThePoolIsBusy() {
        var (state, _) = connected(size: 1)
        _ = state.wait(11, "a")
        #expect(describe(state.timeOut(11)) == ["fail a: pool_timeout"])
        #expect(describe(state.timeOut(11)) == [])
    }

    @Test func waitingForAServerThatIsAwaySaysSo() {
        var state = State(size: 1)
        _ = state.wait(1, "a")
        #expect(describe(state.connectFailed(broken)) == ["retry 1"])
        #expect(describe(state.timeOut(1)) == ["fail a: connection_failed"])
    }

    @Test func aServerThatComesBackInTimeServesTheWaiter() {
        var state = State(size: 1)
        _ = state.wait(1, "a")
        _ = state.connectFailed(broken)
        // Nobody may hurry the pause along.
        #expect(describe(state.wait(2, "b")) == [])
        #expect(describe(state.retryConnecting()) == ["connect"])
        #expect(describe(state.connectFailed(broken)) == ["retry 2"])
        #expect(describe(state.retryConnecting()) == ["connect"])
        #expect(describe(state.connected(Link())) == ["resume a"])
    }

    @Test func aFailureThatDoesNotHealFailsAllWaitersAtOnce() {
        var state = State(size: 1)
        _ = state.wait(1, "a")
        _ = state.wait(2, "b")
        #expect(
            describe(state.connectFailed(refused))
                == ["fail a: authentication_failed", "fail b: authentication_failed"])
        #expect(describe(state.wait(3, "c")) == ["connect"])
    }

    @Test func shuttingDownFailsWaitersClosesIdleOnesAndWaitsForTheRest() {
        var (state, links) = connected(size: 2)
        _ = state.release(links[0], .clean)
        #expect(describe(state.shutDown()) == ["close"])
        #expect(describe(state.wait(11, "late")) == ["fail late: closed"])
        #expect(describe(state.release(links[1], .clean)) == ["close", "drained"])
    }

    @Test func aConnectionThatOpensDuringShutdownIsClosed() {
        var state = State(size: 1)
        _ = state.wait(1, "a")
        #expect(describe(state.shutDown()) == ["fail a: closed"])
        #expect(describe(state.connected(Link())) == ["close", "drained"])
    }

    @Test func idleConnectionsAreCheckedAndComeBack() {
        var (state, links) = connected(size: 1)
        _ = state.release(links[0], .clean)
        #expect(describe(state.checkIdle()) == ["restore"])
        #expect(state.lease() == nil)
        #expect(describe(state.restored(links[0])) == [])
        #expect(state.lease() === links[0])
    }
}
