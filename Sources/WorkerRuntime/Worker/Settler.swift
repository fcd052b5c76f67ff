import AMQP
import Foundation
import Logging
import Messaging

/// Carries settlements out.
struct Settler: Sendable {
    let consumer: Consumer
    let publisher: Publisher
    let workerID: String
    let logger: Logger

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
        case .postpone(let tier):
            moved = OutgoingMessage(
                exchange: .retry, routingKey: tier.queue(of: queue, spread: .random(in: 0...UInt.max)),
                envelope: job.envelope)
        case .deadLetter(let reason, let failure):
            let letter = OutgoingMessage(
                exchange: .dead, routingKey: queue, envelope: job.envelope.adding(attempt(failure)))
            return await move(job.delivery, to: Self.markedDead(letter.publication, reason, failure))
        }
        return await move(job.delivery, to: moved.publication)
    }

    /// Dead-letters a delivery that makes no envelope, with everything that it came with but the broker's headers.
    func deadLetterUndecodable(_ delivery: Delivery, _ failure: Failure) async -> Bool {
        let raw = Publication(
            exchange: Exchange.dead.rawValue, routingKey: delivery.queue, properties: delivery.properties.republishable,
            body: delivery.body)
        return await move(delivery, to: Self.markedDead(raw, .undecodable, failure))
    }

    private func attempt(_ failure: Failure) -> Envelope.Attempt {
        Envelope.Attempt(at: Date(), worker: workerID, code: failure.code, detail: failure.detail)
    }

    private static func markedDead(
        _ publication: Publication, _ reason: DeadLetterReason, _ failure: Failure
    ) -> Publication {
        var publication = publication
        publication.properties.headers[HeaderName.deathReason] = .string(reason.rawValue)
        publication.properties.headers[HeaderName.deathCode] = .string(failure.code)
        publication.properties.headers[HeaderName.deathDetail] = .string(failure.detail)
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
