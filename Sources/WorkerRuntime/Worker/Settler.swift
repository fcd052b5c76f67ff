import AMQP
import Foundation
import Logging
import Messaging

/// Carries settlements out.
struct Settler: Sendable {
    let consumer: Consumer
    let publisher: Publisher
    /// Whose settlements they are; a dead letter says who gave it up.
    let worker: WorkerConfiguration
    let logger: Logger
    let retryAges = RetryAges()

    /// Settles a delivery. Returns when it is done with it.
    ///
    /// A message that moves on is published and confirmed first and acknowledged then, so that it is at two places for a
    /// moment rather than at none. While the broker does not confirm, this tries again; if the task is cancelled
    /// meanwhile, the delivery is given back unchanged. A retry queue that is full or missing holds nobody up: the next
    /// tier takes the message, and after the last one it is a dead letter.
    /// - Returns: what was done in the end; `.release` if it was given back instead.
    func apply(_ settlement: Settlement, to job: Job) async -> Settlement {
        let delivery = job.delivery
        switch settlement {
        case .acknowledge:
            consumer.acknowledge(delivery)
            return settlement
        case .release:
            consumer.reject(delivery, requeue: true)
            return settlement
        case .retry(let tier, let failure):
            let failed = job.envelope.adding(attempt(failure))
            retryAges.note(
                failed.id, firstFailedAt: failed.attempts.first?.at ?? Date(),
                dueAt: Date().addingTimeInterval(tier.delay / .seconds(1)))
            let stranded = Failure(code: failure.code, detail: failure.detail + " (and no retry queue takes it)")
            return await move(
                delivery,
                toFirstOf: tiers(from: tier, for: delivery.queue).map {
                    (.retry($0, failure), publication(of: failed, to: $0, delivery))
                } + [deadLetter(job, .exhausted, stranded)])
        case .postpone(let tier):
            return await move(
                delivery,
                toFirstOf: tiers(from: tier, for: delivery.queue).map {
                    (.postpone($0), publication(of: job.envelope, to: $0, delivery))
                })
        case .deadLetter(let reason, let failure):
            return await move(delivery, toFirstOf: [deadLetter(job, reason, failure)])
        }
    }

    /// The tier and those that serve if its queue does not: longer ones first, which are further from filling up.
    private func tiers(from tier: RetryTier, for queue: String) -> [RetryTier] {
        let others = worker.retryPolicy(for: queue).tiers.filter { $0 != tier }
        return [tier] + others.filter { $0.delay > tier.delay } + others.filter { $0.delay <= tier.delay }.reversed()
    }

    private func publication(of envelope: Envelope, to tier: RetryTier, _ delivery: Delivery) -> Publication {
        let queue = tier.queue(of: delivery.queue, spread: .random(in: 0...UInt.max))
        return publication(OutgoingMessage(exchange: .retry, routingKey: queue, envelope: envelope), of: delivery)
    }

    private func deadLetter(_ job: Job, _ reason: DeadLetterReason, _ failure: Failure) -> (Settlement, Publication) {
        let letter = OutgoingMessage(
            exchange: .dead, routingKey: job.delivery.queue, envelope: job.envelope.adding(attempt(failure)))
        return (
            .deadLetter(reason, failure),
            markedDead(publication(letter, of: job.delivery), job.delivery, reason, failure)
        )
    }

    /// The message with everything else that the delivery came with, and with where it was published first.
    private func publication(_ message: OutgoingMessage, of delivery: Delivery) -> Publication {
        let ours = message.publication
        var properties = delivery.properties.republishable
        properties.headers.merge(ours.properties.headers) { _, new in new }
        properties.type = ours.properties.type
        properties.timestamp = ours.properties.timestamp
        properties.contentType = ours.properties.contentType
        properties.correlationID = ours.properties.correlationID
        return Publication(
            exchange: ours.exchange, routingKey: ours.routingKey,
            properties: properties.rememberingOrigin(of: delivery), body: ours.body)
    }

    /// Dead-letters a delivery that makes no envelope, with everything that it came with but the broker's headers.
    ///
    /// - Returns: what was done in the end; `.release` if it was given back instead.
    func deadLetterUndecodable(_ delivery: Delivery, _ failure: Failure) async -> Settlement {
        let raw = Publication(
            exchange: Exchange.dead.rawValue, routingKey: delivery.queue,
            properties: delivery.properties.republishable.rememberingOrigin(of: delivery), body: delivery.body)
        let letter = markedDead(raw, delivery, .undecodable, failure)
        return await move(delivery, toFirstOf: [(.deadLetter(.undecodable, failure), letter)])
    }

    private func attempt(_ failure: Failure) -> Envelope.Attempt {
        Envelope.Attempt(at: Date(), worker: worker.id, code: failure.code, detail: failure.detail)
    }

    private func markedDead(
        _ publication: Publication, _ delivery: Delivery, _ reason: DeadLetterReason, _ failure: Failure
    ) -> Publication {
        var publication = publication
        publication.properties.headers[HeaderName.deathReason] = .string(reason.rawValue)
        publication.properties.headers[HeaderName.deathCode] = .string(failure.code)
        publication.properties.headers[HeaderName.deathDetail] = .string(failure.detail)
        publication.properties.headers[HeaderName.deathHandler] = .string("\(worker.role)/\(delivery.queue)")
        publication.properties.headers[HeaderName.deathBuild] = .string(worker.version)
        return publication
    }

    /// Publishes to the first place that takes it, then acknowledges.
    ///
    /// A dead letter that even its own queue refuses is left to the broker, which keeps it until that queue takes it.
    private func move(
        _ delivery: Delivery, toFirstOf places: [(settlement: Settlement, publication: Publication)]
    ) async -> Settlement {
        let backoff = Backoff(base: .milliseconds(100), cap: .seconds(5))
        var failures = 0
        var place = 0
        while true {
            let (settlement, publication) = places[place]
            do {
                // A task of its own, because a settlement that has begun is finished after a cancellation too.
                let publisher = publisher
                try await Task { try await publisher.publish(publication) }.value
                consumer.acknowledge(delivery)
                return settlement
            } catch {
                failures += 1
                logger.warning(
                    "a message could not be moved, trying again",
                    metadata: [
                        LogKey.queue: "\(publication.routingKey)", LogKey.errorDetail: "\(error)",
                        LogKey.messageID: "\(publication.properties.messageID ?? "")",
                        LogKey.correlationID: "\(publication.properties.correlationID ?? "")",
                    ])
                if (error as? PublishError)?.isFinalForItsQueue == true {
                    place += 1
                    if place < places.count { continue }
                    if case .deadLetter = settlement {
                        consumer.reject(delivery, requeue: false)
                        return settlement
                    }
                    place = 0
                }
                try? await Task.sleep(for: backoff.delay(failures))
                if Task.isCancelled {
                    consumer.reject(delivery, requeue: true)
                    return .release
                }
            }
        }
    }
}

extension PublishError {
    /// Whether the broker was reached and that queue does not take the message: another one may.
    fileprivate var isFinalForItsQueue: Bool {
        switch kind {
        case .returned, .refused, .invalid: true
        case .unknown, .unavailable, .overloaded, .cancelled: false
        }
    }
}

extension BasicProperties {
    /// Notes where a delivery came from, unless that was noted on an earlier hop.
    ///
    /// The default exchange is where tiers and replays hand messages back, so it is an origin only for a message that
    /// never failed.
    fileprivate func rememberingOrigin(of delivery: Delivery) -> BasicProperties {
        guard headers[HeaderName.originExchange] == nil else { return self }
        var properties = self
        properties.headers[HeaderName.originExchange] = .string(delivery.exchange)
        properties.headers[HeaderName.originKey] = .string(delivery.routingKey)
        return properties
    }
}
