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

    /// Two queues, so that what is urgent overtakes all that was prefetched before it.
    private struct Ready {
        private var urgent = FIFO<Delivery>()
        private var ordinary = FIFO<Delivery>()

        var count: Int { urgent.count + ordinary.count }
        var isEmpty: Bool { count == 0 }

        mutating func append(_ deliveries: [Delivery], urgentQueues: Set<String>) {
            guard !urgentQueues.isEmpty else { return ordinary.append(contentsOf: deliveries) }
            for delivery in deliveries {
                if urgentQueues.contains(delivery.queue) {
                    urgent.append(delivery)
                } else {
                    ordinary.append(delivery)
                }
            }
        }

        mutating func popFirst(_ limit: Int) -> [Delivery] {
            guard !urgent.isEmpty else { return ordinary.popFirst(limit) }
            let first = urgent.popFirst(limit)
            return first.count < limit ? first + ordinary.popFirst(limit - first.count) : first
        }

        mutating func popUrgent(_ limit: Int) -> [Delivery] { urgent.popFirst(limit) }

        mutating func removeAll() {
            _ = urgent.removeAll()
            _ = ordinary.removeAll()
        }
    }

    private struct State {
        var ready = Ready()
        var takers = FIFO<Taker>()
        var settlements: [Settlement] = []
        var isWakePending = false
        /// Nothing more will come.
        var isFinished = false
    }

    private let thread: OwnerThread
    private let state = Mutex(State())

    private let urgentQueues: Set<String>

    init(thread: OwnerThread, urgentQueues: Set<String>) {
        self.thread = thread
        self.urgentQueues = urgentQueues
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

    func takeUrgent(_ limit: Int) -> [Delivery] {
        state.withLock { $0.ready.popUrgent(limit) }
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
            state.ready.append(deliveries, urgentQueues: urgentQueues)
            while !state.ready.isEmpty, let taker = state.takers.popFirst() {
                let share = (state.ready.count + state.takers.count) / (state.takers.count + 1)
                let batch = state.ready.popFirst(min(share, taker.limit))
                // Whoever was cancelled in this instant has left its share to the others. Nothing under the lock that
                // `give` takes calls back into this one.
                if !taker.batch.give(batch) { state.ready.append(batch, urgentQueues: urgentQueues) }
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
            state.ready.removeAll()
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
