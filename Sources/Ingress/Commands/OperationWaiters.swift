import Domain
import Synchronization

/// Wakes requests that wait for their operation's outcome.
final class OperationWaiters: Sendable {
    private struct State {
        var streams: [OperationID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
        var lastTicket: UInt64 = 0
        var isClosed = false
    }

    /// One request's place in the table; give it back with `forget`.
    struct Ticket: Sendable {
        fileprivate let operation: OperationID
        fileprivate let number: UInt64
        fileprivate let signals: AsyncStream<Void>
    }

    private let state = Mutex(State())

    /// Takes a place. Do so before the command is published, or its end may come first and be missed.
    func register(_ operation: OperationID) -> Ticket {
        let (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        return state.withLock { state in
            state.lastTicket += 1
            if state.isClosed {
                continuation.finish()
            } else {
                state.streams[operation, default: [:]][state.lastTicket] = continuation
            }
            return Ticket(operation: operation, number: state.lastTicket, signals: signals)
        }
    }

    func forget(_ ticket: Ticket) {
        state.withLock { state in
            state.streams[ticket.operation]?[ticket.number] = nil
            if state.streams[ticket.operation]?.isEmpty == true { state.streams[ticket.operation] = nil }
        }
    }

    func finished(_ operation: OperationID) {
        let streams = state.withLock { $0.streams[operation] }
        for stream in (streams ?? [:]).values { stream.yield() }
    }

    /// Lets everybody go, now and from now on: the server stops.
    func close() {
        let streams = state.withLock { state in
            state.isClosed = true
            defer { state.streams = [:] }
            return state.streams
        }
        for stream in streams.values.flatMap(\.values) { stream.finish() }
    }

    enum Wake {
        case signal, timeout, closed
    }

    /// Waits for the operation's end, or as long as allowed.
    func wait(_ ticket: Ticket, within limit: Duration) async -> Wake {
        await withTaskGroup(of: Wake.self) { group in
            group.addTask {
                for await _ in ticket.signals { return .signal }
                return .closed
            }
            group.addTask {
                // Cancellation is the other task's answer being there.
                try? await Task.sleep(for: limit)
                return .timeout
            }
            let first = await group.next() ?? .timeout
            group.cancelAll()
            return first
        }
    }

    var count: Int { state.withLock { $0.streams.count } }

    /// Passes on what the database announces, until cancelled.
    func listen(to operations: any OperationStore) async {
        await operations.observeFinished { operation in
            if let operation { finished(operation) } else { wakeAll() }
        }
    }

    /// Something may have been missed: everybody looks for themselves.
    private func wakeAll() {
        for stream in state.withLock({ Array($0.streams.values.flatMap(\.values)) }) { stream.yield() }
    }
}
