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
    /// meanwhile, the delivery is given back unchanged.
    /// - Returns: whether it was settled as told; false if it was given back instead.
    func apply(_ settlement: Settlement, to job: Job) async -> Bool {
        let queue = job.delivery.queue
        let moved: OutgoingMessage
        switch settlement {
        case .acknowledge:
            consumer.acknowledge(job.delivery)
            return true
        case .release:
            consumer.reject(job.delivery, requeue: true)
            return true
        case .retry(let tier, let failure):
            moved = OutgoingMessage(
                exchange: .retry, routingKey: tier.queue(of: queue, spread: .random(in: 0...UInt.max)),
                envelope: job.envelope.adding(attempt(failure)))
            retryAges.note(
                moved.envelope.id, firstFailedAt: moved.envelope.attempts.first?.at ?? Date(),
                dueAt: Date().addingTimeInterval(tier.delay / .seconds(1)))
        case .postpone(let tier):
            moved = OutgoingMessage(
                exchange: .retry, routingKey: tier.queue(of: queue, spread: .random(in: 0...UInt.max)),
                envelope: job.envelope)
        case .deadLetter(let reason, let failure):
            let letter = OutgoingMessage(
                exchange: .dead, routingKey: queue, envelope: job.envelope.adding(attempt(failure)))
            return await move(
                job.delivery, to: markedDead(publication(letter, of: job.delivery), job.delivery, reason, failure))
        }
        return await move(job.delivery, to: publication(moved, of: job.delivery))
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
    func deadLetterUndecodable(_ delivery: Delivery, _ failure: Failure) async -> Bool {
        let raw = Publication(
            exchange: Exchange.dead.rawValue, routingKey: delivery.queue,
            properties: delivery.properties.republishable.rememberingOrigin(of: delivery), body: delivery.body)
        return await move(delivery, to: markedDead(raw, delivery, .undecodable, failure))
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

    private func move(_ delivery: Delivery, to publication: Publication) async -> Bool {
        let backoff = Backoff(base: .milliseconds(100), cap: .seconds(5))
        var failures = 0
        while true {
            do {
                // A task of its own, because a settlement that has begun is finished after a cancellation too.
                let publisher = publisher
                try await Task { try await publisher.publish(publication) }.value
                consumer.acknowledge(delivery)
                return true
            } catch {
                failures += 1
                logger.warning(
                    "a message could not be moved, trying again",
                    metadata: [
                        LogKey.queue: "\(publication.routingKey)", LogKey.errorDetail: "\(error)",
                        LogKey.messageID: "\(publication.properties.messageID ?? "")",
                        LogKey.correlationID: "\(publication.properties.correlationID ?? "")",
                    ])
                try? await Task.sleep(for: backoff.delay(failures))
                if Task.isCancelled {
                    consumer.reject(delivery, requeue: true)
                    return false
                }
            }
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
