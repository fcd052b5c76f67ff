import Foundation
package import Logging
import Metrics
package import Persistence
import Synchronization

/// An outside service that work needs, such as the mail server, behind a circuit breaker.
///
/// Its state belongs to this process: what another one sees of the service goes through another network and other
/// credentials, and state that is shared would have to be kept somewhere that can be away too. Processes that share a
/// service each find out for themselves and each make trials of their own, one at a time.
package final class Dependency: Sendable {
    private struct Contents {
        var breaker: CircuitBreaker
        var errorCode: String?
        var changedAt = Date()
        var observers: [@Sendable () -> Void] = []
    }

    /// Such as `smtp`.
    package let name: String
    private let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant
    private let contents: Mutex<Contents>

    /// - Parameter now: the clock; of its own for tests.
    package init(
        _ name: String, policy: CircuitBreaker.Policy = .init(), logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.name = name
        self.logger = logger
        self.now = now
        contents = Mutex(Contents(breaker: CircuitBreaker(policy: policy)))
        gauge("closed")
    }

    /// Asks to begin work with it; nil if it must wait. Every permit is to be ended.
    package func begin() -> CircuitBreaker.Permit? {
        change { $0.breaker.begin(at: now()) }
    }

    /// Reports how work ended.
    ///
    /// - Parameter code: why it failed, such as `smtp.421`.
    /// - Returns: whether work may go on; false means that it waits now.
    @discardableResult
    package func end(
        _ permit: CircuitBreaker.Permit, _ verdict: CircuitBreaker.Verdict, code: String? = nil
    ) -> Bool {
        change { contents in
            if verdict == .failed { contents.errorCode = code }
            contents.breaker.end(permit, verdict, at: now())
            if case .closed = contents.breaker.state { return true }
            return false
        }
    }

    /// How much of a queue to take whose messages need it.
    enum Readiness: Hashable, Sendable {
        case ready
        /// One message at a time, to try.
        case trial
        case away(until: ContinuousClock.Instant)
    }

    var readiness: Readiness {
        let state = change { contents in
            contents.breaker.advance(to: now())
            return contents.breaker.state
        }
        return switch state {
        case .closed: .ready
        case .halfOpen: .trial
        case .open(let until): .away(until: until)
        }
    }

    /// Calls `observer` after each change of state, from any task.
    func onChange(_ observer: @escaping @Sendable () -> Void) {
        contents.withLock { $0.observers.append(observer) }
    }

    /// How it stands, for the table `breakers`.
    package var report: Breakers.Report {
        contents.withLock { contents in
            var retryAt: Date?
            if case .open(let until) = contents.breaker.state {
                retryAt = Date() + max(0, (until - now()) / .seconds(1))
            }
            return Breakers.Report(
                dependency: name, state: contents.breaker.state.name, failures: contents.breaker.failures,
                errorCode: contents.errorCode, changedAt: contents.changedAt, retryAt: retryAt)
        }
    }

    /// Changes the contents, and tells everybody if the state became another one.
    private func change<Result: Sendable>(_ body: (inout Contents) -> Result) -> Result {
        let (result, before, after, observers, code) = contents.withLock {
            contents -> (Result, String, String, [@Sendable () -> Void], String?) in
            let before = contents.breaker.state.name
            let result = body(&contents)
            let after = contents.breaker.state.name
            if before != after { contents.changedAt = Date() }
            if after == "closed", before != after { contents.errorCode = nil }
            return (result, before, after, before == after ? [] : contents.observers, contents.errorCode)
        }
        guard before != after else { return result }
        gauge(after)
        Counter(label: "breaker.transitions", dimensions: [("dependency", name), ("to", after)]).increment()
        logger.log(
            level: after == "open" && before == "closed" ? .warning : .notice, "circuit breaker changed",
            metadata: [
                "dependency": "\(name)", "breaker.from": "\(before)", "breaker.to": "\(after)",
                LogKey.errorCode: "\(code ?? "none")",
            ])
        for observer in observers { observer() }
        return result
    }

    private func gauge(_ state: String) {
        let value = ["closed": 0, "half_open": 1, "open": 2][state] ?? 0
        Gauge(label: "breaker.state", dimensions: [("dependency", name)]).record(value)
    }
}
