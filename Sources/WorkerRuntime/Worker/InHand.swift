import Synchronization

/// Counts what a worker has taken and not yet settled, and what it has done so far.
final class InHand: Sendable {
    enum End: Sendable {
        case handled
        case retried
        case deadLettered
        case postponed
        case returned
    }

    struct Totals: Sendable {
        var inHand = 0
        var handled = 0
        var retried = 0
        var deadLettered = 0
        var postponed = 0
        var returned = 0

        /// Everything that was settled otherwise than by giving it back.
        var finished: Int { handled + retried + deadLettered }
    }

    private struct State {
        var totals = Totals()
        var hasEnded = false
    }

    private let state = Mutex(State())
    /// Happens once nothing is in hand and nothing will be taken any more.
    let isDrained = Signal(isSticky: true)

    var totals: Totals { state.withLock { $0.totals } }

    func take(_ count: Int) {
        state.withLock { $0.totals.inHand += count }
    }

    func settle(_ end: End) {
        update { state in
            state.totals.inHand -= 1
            switch end {
            case .handled: state.totals.handled += 1
            case .retried: state.totals.retried += 1
            case .deadLettered: state.totals.deadLettered += 1
            case .postponed: state.totals.postponed += 1
            case .returned: state.totals.returned += 1
            }
        }
    }

    /// Nothing will be taken any more.
    func endTaking() {
        update { state in state.hasEnded = true }
    }

    private func update(_ change: (inout State) -> Void) {
        let isDrained = state.withLock { state in
            change(&state)
            return state.hasEnded && state.totals.inHand == 0
        }
        if isDrained { self.isDrained.notify() }
    }
}
