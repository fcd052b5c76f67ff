import OwnerThread
import Synchronization

/// Where deliveries wait to be taken by any task, and settlements wait for the owner thread.
final class Inbox: Sendable {
    struct Settlement: Sendable {
        let tag: UInt64
        let epoch: UInt64
        let kind: SettlementLedger.Settlement
    }

    private struct Taker {
        let limit: Int
        let batch: OneShot<[Delivery]>
    }

    private struct State {
        var ready = FIFO<Delivery>()
        var takers = FIFO<Taker>()
        var settlements: [Settlement] = []
        var isWakePending = false
        /// Nothing more will come.
        var isFinished = false
    }

    private let thread: OwnerThread
    private let state = Mutex(State())

    init(thread: OwnerThread) {
        self.thread = thread
    }

    // MARK: For consumers

    func take(_ limit: Int) async -> [Delivery] {
        precondition(limit > 0, "a batch of \(limit) deliveries")
        let batch = OneShot<[Delivery]>()
        let now = state.withLock { state -> [Delivery]? in
            if !state.ready.isEmpty { return state.ready.popFirst(limit) }
            if state.isFinished { return [] }
            state.takers.append(Taker(limit: limit, batch: batch))
            return nil
        }
        if let now { return now }
        return await withTaskCancellationHandler {
            await batch.value()
        } onCancel: {
            guard batch.give([]) else { return }
            state.withLock { $0.takers.removeAll { $0.batch.isGiven } }
        }
    }

    func settle(_ delivery: Delivery, _ kind: SettlementLedger.Settlement) {
        let settlement = Settlement(tag: delivery.deliveryTag, epoch: delivery.epoch, kind: kind)
        let mustWake = state.withLock { state in
            state.settlements.append(settlement)
            defer { state.isWakePending = true }
            return !state.isWakePending
        }
        if mustWake { thread.schedule(after: .zero) {} }
    }

    // MARK: For the owner thread

    /// Hands deliveries out: to waiting takers in equal shares, the rest to the buffer.
    func offer(_ deliveries: [Delivery]) {
        guard !deliveries.isEmpty else { return }
        state.withLock { state in
            state.ready.append(contentsOf: deliveries)
            while !state.ready.isEmpty, let taker = state.takers.popFirst() {
                let share = (state.ready.count + state.takers.count) / (state.takers.count + 1)
                let batch = state.ready.popFirst(min(share, taker.limit))
                // Whoever was cancelled in this instant has left its share to the others. Nothing under the lock that
                // `give` takes calls back into this one.
                if !taker.batch.give(batch) { state.ready.append(contentsOf: batch) }
            }
        }
    }

    func takeSettlements() -> [Settlement] {
        state.withLock { state in
            state.isWakePending = false
            guard !state.settlements.isEmpty else { return [] }
            let taken = state.settlements
            state.settlements = []
            return taken
        }
    }

    /// Drops what is buffered: the broker has taken it back.
    func drop() {
        state.withLock { state in
            _ = state.ready.removeAll()
            state.settlements = []
        }
    }

    /// Lets takers go empty-handed once the buffer is empty.
    func finish() {
        let takers = state.withLock { state in
            state.isFinished = true
            return state.takers.removeAll()
        }
        for taker in takers { taker.batch.give([]) }
    }
}
