package import AMQP
import Metrics
import ServiceLifecycle

/// Decides how much a consumer takes of each of its queues: nothing of one that an operator has stopped, nothing while the
/// outside service is away that its messages need, and one at a time while that service is on trial.
///
/// What is in hand when a queue stops is finished, because everything given back counts as a delivery. In a service group
/// it comes after the consumer and before the worker.
package final class QueueControl: Service, Sendable {
    private let queues: [String]
    private let needs: [String: Dependency]
    private let pauses: PauseWatch
    private let consumer: Consumer
    private let hasChanged = Signal()

    /// - Parameters:
    ///   - queues: those of the consumer's subscriptions.
    ///   - needs: by queue, what its messages cannot do without.
    package init(queues: [String], needs: [String: Dependency] = [:], pauses: PauseWatch, consumer: Consumer) {
        self.queues = queues
        self.needs = needs
        self.pauses = pauses
        self.consumer = consumer
        pauses.onChange { [hasChanged] in hasChanged.notify() }
        for dependency in Set(needs.values.map(ObjectIdentifier.init)) {
            needs.values.first { ObjectIdentifier($0) == dependency }?.onChange { [hasChanged] in hasChanged.notify() }
        }
    }

    /// Tells the consumer what is wanted now. Call it once before the consumer runs.
    ///
    /// - Returns: when to do so again, whatever changes before; nil is never.
    @discardableResult
    package func apply() async -> ContinuousClock.Instant? {
        let paused = pauses.paused
        var intake: [String: Subscription.Intake] = [:]
        var next: ContinuousClock.Instant?
        for queue in queues {
            let isPaused = paused.contains(queue)
            Gauge(label: "worker.queue.paused", dimensions: [("queue", queue)]).record(isPaused ? 1 : 0)
            switch needs[queue]?.readiness {
            case nil, .ready?: intake[queue] = .full
            case .trial?: intake[queue] = .single
            case .away(let until)?:
                intake[queue] = Subscription.Intake.none
                next = min(next ?? until, until)
            }
            if isPaused { intake[queue] = Subscription.Intake.none }
        }
        await consumer.setIntake(intake)
        return next
    }

    /// Follows changes until graceful shutdown.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            while !Task.isCancelled {
                if let next = await apply() {
                    await hasChanged.wait(upTo: next - .now)
                } else {
                    await hasChanged.wait()
                }
            }
        }
    }
}
