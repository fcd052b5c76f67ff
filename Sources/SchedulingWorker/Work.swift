import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import WorkerRuntime

/// One message and what its handler works with.
struct Work: Sendable {
    let envelope: Envelope
    let context: HandlerContext

    var transaction: Transaction { context.transaction }
    var now: Date { context.now }

    /// - Throws: `DecodingError`, on which the runtime dead-letters the message.
    func body<Body: Decodable>(as type: Body.Type = Body.self) throws -> Body {
        try WireJSON.decode(type, from: envelope.body)
    }

    /// Publishes an event that follows from the message; the same message always makes the same event.
    func publish(_ type: MessageType, about subject: String, body: some Encodable) async throws {
        let event = Envelope(
            id: MessageID.derived(from: envelope.id, type.rawValue, subject), type: type,
            correlationID: envelope.correlationID, causationID: envelope.id, timestamp: now,
            receivedAt: envelope.receivedAt, traceParent: envelope.traceParent, body: try WireJSON.encode(body))
        try await context.publish(OutgoingMessage(exchange: .events, envelope: event))
    }

    /// Ends the operation of a command with a thing that is there now.
    func finish(_ command: CommandContext, httpStatus: Int, _ job: JobView) async throws -> Outcome {
        let result = try OperationResult(httpStatus: httpStatus, value: job, subjectID: job.id.rawValue)
        try await Operations.finish(command.operation, with: result, at: now, in: transaction)
        return .done
    }

    /// Ends the operation of a command that cannot be met. The message is done: asking again would change nothing.
    func refuse(_ command: CommandContext, _ problem: Problem, job: JobID? = nil) async throws -> Outcome {
        let result = try OperationResult(problem, subjectID: job?.rawValue)
        try await Operations.finish(command.operation, with: result, at: now, in: transaction)
        return .done
    }
}
