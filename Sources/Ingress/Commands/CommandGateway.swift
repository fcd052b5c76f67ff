import Crypto
import Domain
import HTTPTypes
import Messaging
import Persistence
import Traces

/// Takes a write of the API: records it as an operation, stores its command, and answers with the operation or, for those
/// who would wait, its outcome.
///
/// Operation and message have ids that follow from principal, route and idempotency key, so a request said twice, at once
/// or years apart, is one operation and one message.
struct CommandGateway: Sendable {
    let operations: any OperationStore
    let isBrokerReady: @Sendable () -> Bool
    let intake: Intake
    let waiters: OperationWaiters
    let maxWait: Duration

    /// - Parameters:
    ///   - input: what is asked for; the same key with another input is refused.
    ///   - routingKey: nil takes the type.
    ///   - command: makes the message's body.
    func submit<Input: Encodable, Command: Encodable>(
        _ request: IngressRequest, by principal: Principal, type: MessageType, routingKey: String? = nil, input: Input,
        expectedVersion: Int?,
        command: (CommandContext) -> Command
    ) async throws -> IngressResponse {
        let key = try IdempotencyKey.read(request.headers)
        let wait = WaitPreference.read(request.headers, atMost: maxWait)
        let route = "\(request.method.rawValue) \(request.path)"
        let identity = [principal.id, route, key]
        let new = Operation(
            id: OperationID(digest: MessageID.digest(["operation"] + identity)), principal: principal.id, route: route,
            idempotencyKey: key, requestHash: try Self.hash(input, expectedVersion: expectedVersion),
            messageID: MessageID.hex(MessageID.digest(["command"] + identity).prefix(16)),
            createdAt: request.receivedAt)
        let context = CommandContext(
            operation: new.id, actor: principal.name, source: .staffAPI, requestID: request.requestID,
            requestedAt: request.receivedAt)
        let message = OutgoingMessage(
            exchange: .commands, routingKey: routingKey,
            envelope: Envelope(
                id: new.messageID, type: type, timestamp: request.receivedAt,
                traceParent: request.trace.traceParent,
                body: try WireJSON.encode(command(context))))

        let ticket = wait.map { _ in waiters.register(new.id) }
        defer { ticket.map(waiters.forget) }
        let viaSpool = !isBrokerReady()
        let earlier = try await operations.begin(new, spooling: viaSpool ? message : nil)
        if let earlier {
            guard earlier.requestHash == new.requestHash else {
                throw ProblemResponse(
                    .idempotencyKeyReused, "The key was used for another request to \(request.path).")
            }
            if earlier.status != .pending {
                var response = try OperationAnswer.outcome(earlier, request: request)
                response.headers[.idempotentReplayed] = "true"
                return response
            }
        }
        // A pending operation is published again: its first message may never have been stored. If it was, the worker's
        // inbox drops this one, which has the same id.
        if viaSpool {
            intake.metrics.spooled(.command)
        } else {
            try await intake.store(message, kind: .command)
        }
        var response = try await answer(earlier ?? new, ticket: ticket, within: wait, request: request)
        if earlier != nil { response.headers[.idempotentReplayed] = "true" }
        return response
    }

    private func answer(
        _ operation: Operation, ticket: OperationWaiters.Ticket?, within wait: Duration?, request: IngressRequest
    ) async throws -> IngressResponse {
        guard let ticket, let wait else { return try OperationAnswer.accepted(operation, request: request) }
        let end = ContinuousClock.now + wait
        var pause = Duration.milliseconds(250)
        var wake = OperationWaiters.Wake.timeout
        repeat {
            wake = await waiters.wait(ticket, within: min(pause, ContinuousClock.now.duration(to: end)))
            // The command is stored, so a database that cannot be read now is no reason to fail: 202 is still true.
            let current = try? await operations.find(operation.id)
            if let current, current.status != .pending {
                var response = try OperationAnswer.outcome(current, request: request)
                response.headers[.preferenceApplied] = "wait=\(wait.components.seconds)"
                return response
            }
            pause = min(pause * 2, .seconds(1))
        } while wake != .closed && !Task.isCancelled && ContinuousClock.now < end
        var response = try OperationAnswer.accepted(operation, request: request)
        response.headers[.preferenceApplied] = "wait=\(wait.components.seconds)"
        return response
    }

    /// Digest over what is asked for. It is taken of the values, so the order of fields and white space do not matter.
    private static func hash(_ input: some Encodable, expectedVersion: Int?) throws -> String {
        var hash = SHA256()
        hash.update(data: try WireJSON.encode(input))
        hash.update(data: Array("|\(expectedVersion.map(String.init) ?? "")".utf8))
        return MessageID.hex(hash.finalize())
    }
}
