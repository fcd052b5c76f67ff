import AMQP
import Domain
import Foundation
import Ingress
import Messaging
import MetricsTestKit
import Persistence
import Postgres
import Testing
import Transport

@Suite struct CommandTests {
    private static func create(
        _ ingress: Harness, key: String? = "key-1", body: String = Samples.createJob, prefer: String? = nil,
        headers: [(String, String)] = []
    ) async throws -> HTTPResponse {
        var headers = headers
        if let key { headers.append(("Idempotency-Key", key)) }
        if let prefer { headers.append(("Prefer", prefer)) }
        return try await ingress.send("POST", "/v1/jobs", headers: headers, body: body)
    }

    @Test(.timeLimit(.minutes(1)))
    func aJobRequestBecomesACommandAndAnOperation() async throws {
        try await withIngress { ingress in
            let response = try await Self.create(ingress, headers: [("X-Request-Id", "my-request.1")])
            #expect(response.status == 202)
            let id = try #require(try response.json["id"] as? String)
            #expect(id.hasPrefix("opn_"))
            #expect(response.headers["Location"] == "/v1/operations/\(id)")
            #expect(try response.json["status"] as? String == "pending")
            #expect(response.headers["Idempotent-Replayed"] == nil)

            let message = try #require(ingress.broker.messages.first)
            #expect(message.exchange == .commands)
            #expect(message.routingKey == "job.create")
            #expect(message.envelope.signature == nil)
            let command = try WireJSON.decode(CreateJob.self, from: message.envelope.body)
            #expect(command.context.operation.rawValue == id)
            #expect(command.context.actor == "Front office")
            #expect(command.context.source == .staffAPI)
            #expect(command.context.requestID == "my-request.1")
            #expect(
                command.request.customer
                    == Person(
                        name: "Customer One", email: "customer.one@example.com", phone: "+1 (614) 555-0142"))
            #expect(command.request.priority == .high)
            #expect(command.request.startsAt == Date(timeIntervalSince1970: 1_805_198_400))
            #expect(command.request.durationMinutes == 180)

            let operation = try await ingress.send("GET", "/v1/operations/\(id)")
            #expect(operation.status == 200)
            #expect(try operation.json["status"] as? String == "pending")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func movesAndCancellationsCarryTheJobAndItsVersion() async throws {
        try await withIngress { ingress in
            let path = "/v1/jobs/\(Samples.job.id)"
            let moved = try await ingress.send(
                "POST", path + "/reschedule", headers: [("Idempotency-Key", "a"), ("If-Match", "\"3\"")],
                body: #"{"starts_at":"2027-03-17T13:30:00Z","reason":"Rain"}"#)
            #expect(moved.status == 202, "\(moved.text)")
            let canceled = try await ingress.send(
                "POST", path + "/cancel", headers: [("Idempotency-Key", "a"), ("If-Match", "*")])
            #expect(canceled.status == 202, "\(canceled.text)")
            let messages = ingress.broker.messages
            #expect(messages.map(\.routingKey) == ["job.reschedule", "job.cancel"])
            let move = try WireJSON.decode(RescheduleJob.self, from: messages[0].envelope.body)
            #expect(move.job == Samples.job.id)
            #expect(move.expectedVersion == 3)
            #expect(move.reason == "Rain")
            let cancel = try WireJSON.decode(CancelJob.self, from: messages[1].envelope.body)
            #expect(cancel.job == Samples.job.id)
            #expect(cancel.expectedVersion == nil)
            #expect(messages[0].envelope.id != messages[1].envelope.id, "keys count per path")
            for tag in ["3", "W/\"3\"", "\"x\"", "\"3\", \"4\"", ""] {
                let response = try await ingress.send(
                    "POST", path + "/cancel", headers: [("Idempotency-Key", "b"), ("If-Match", tag)])
                // An empty field is dropped on the way.
                if tag.isEmpty { continue }
                #expect(response.status == 400, "\(tag)")
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func writesNeedAnIdempotencyKey() async throws {
        try await withIngress { ingress in
            let missing = try await Self.create(ingress, key: nil)
            #expect(missing.status == 400)
            #expect(missing.problemType == "idempotency-key-missing")
            for key in ["with space", String(repeating: "k", count: 256), "schlüssel"] {
                let response = try await Self.create(ingress, key: key)
                #expect(response.status == 400, "\(key)")
                #expect(response.problemType == "malformed-request")
            }
            let twice = try await Self.create(ingress, key: "a", headers: [("Idempotency-Key", "b")])
            #expect(twice.status == 400)
            #expect(try await Self.create(ingress, key: String(repeating: "k", count: 255)).status == 202)
            #expect(await ingress.operations.count == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func theSameKeyWithAnotherRequestIsRefused() async throws {
        try await withIngress { ingress in
            #expect(try await Self.create(ingress).status == 202)
            let other = Samples.createJob.replacing("patching", with: "sealcoating")
            let response = try await Self.create(ingress, body: other)
            #expect(response.status == 422)
            #expect(response.problemType == "idempotency-key-reused")
            #expect(ingress.broker.messages.count == 1)
            // Other white space and another order of fields is the same request.
            let object = try JSONSerialization.jsonObject(with: Data(Samples.createJob.utf8))
            let rewritten = try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
            let same = try await Self.create(ingress, body: String(decoding: rewritten, as: UTF8.self))
            #expect(same.status == 202)
            let path = "/v1/jobs/\(Samples.job.id)/cancel"
            #expect(try await ingress.send("POST", path, headers: [("Idempotency-Key", "c")]).status == 202)
            let versioned = try await ingress.send(
                "POST", path, headers: [("Idempotency-Key", "c"), ("If-Match", "\"1\"")])
            #expect(versioned.problemType == "idempotency-key-reused", "the version is part of the request")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aPendingOperationIsPublishedAgainUnderTheSameID() async throws {
        try await withIngress { ingress in
            let first = try await Self.create(ingress)
            let second = try await Self.create(ingress)
            #expect(second.status == 202)
            #expect(second.headers["Idempotent-Replayed"] == "true")
            #expect(try first.json["id"] as? String == second.json["id"] as? String)
            #expect(Set(ingress.broker.messages.map(\.envelope.id)).count == 1)
            #expect(ingress.broker.messages.count == 2)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aFinishedOperationIsAnsweredFromTheRecord() async throws {
        try await withIngress { ingress in
            let id = try #require(OperationID(rawValue: try await Self.create(ingress).json["id"] as? String ?? ""))
            await ingress.operations.finish(
                id, status: 201, outcome: try WireJSON.encode(Samples.job), subject: Samples.job.id.rawValue)
            let response = try await Self.create(ingress)
            #expect(response.status == 201)
            #expect(response.headers["Idempotent-Replayed"] == "true")
            #expect(response.headers["Location"] == "/v1/jobs/\(Samples.job.id)")
            #expect(response.headers["ETag"] == "\"3\"")
            #expect(response.body == (try WireJSON.encode(Samples.job)))
            #expect(ingress.broker.messages.count == 1)

            let operation = try await ingress.send("GET", "/v1/operations/\(id)")
            #expect(try operation.json["status"] as? String == "succeeded")
            #expect(try operation.json["http_status"] as? Int == 201)
            #expect(try (operation.json["outcome"] as? [String: Any])?["number"] as? String == "J-2027-00042")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func fiftyAtOnceWithOneKeyAreOneOperation() async throws {
        try await withIngress { ingress in
            let answers = try await withThrowingTaskGroup(of: HTTPResponse.self) { group in
                for _ in 0..<50 { group.addTask { try await Self.create(ingress) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count == 50)
            #expect(answers.allSatisfy { $0.status == 202 })
            #expect(Set(answers.compactMap { $0.headers["Location"] }).count == 1)
            #expect(answers.count { $0.headers["Idempotent-Replayed"] == nil } == 1)
            #expect(await ingress.operations.count == 1)
            #expect(Set(ingress.broker.messages.map(\.envelope.id)).count == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func keysOfDifferentCallersAreDifferent() async throws {
        try await withIngress { ingress in
            let other = "neff_otherotherotherotherotherotherotherot"
            ingress.keys.add(other, role: .office)
            #expect(try await Self.create(ingress).status == 202)
            let response = try await ingress.send(
                "POST", "/v1/jobs", headers: [("Idempotency-Key", "key-1")], body: Samples.createJob, key: other)
            #expect(response.headers["Idempotent-Replayed"] == nil)
            #expect(await ingress.operations.count == 2)
        }
    }

    // MARK: - Waiting

    @Test(.timeLimit(.minutes(1)))
    func whoeverWaitsGetsTheOutcomeItself() async throws {
        try await withIngress { ingress in
            ingress.broker.onPublish { message in
                guard let command = try? WireJSON.decode(CreateJob.self, from: message.envelope.body) else { return }
                await ingress.operations.finish(
                    command.context.operation, status: 201,
                    outcome: (try? WireJSON.encode(Samples.job)) ?? [], subject: Samples.job.id.rawValue)
            }
            let response = try await Self.create(ingress, prefer: "respond-async, wait=10")
            #expect(response.status == 201)
            #expect(response.headers["Location"] == "/v1/jobs/\(Samples.job.id)")
            #expect(response.headers["Preference-Applied"] == "wait=10")
            #expect(response.headers["ETag"] == "\"3\"")
            #expect(try response.json["number"] as? String == "J-2027-00042")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func theOutcomeIsFoundEvenIfNobodyAnnouncesIt() async throws {
        try await withIngress { ingress in
            await ingress.operations.beSilent()
            ingress.broker.onPublish { message in
                guard let command = try? WireJSON.decode(CreateJob.self, from: message.envelope.body) else { return }
                await ingress.operations.finish(command.context.operation, status: 200, outcome: Array("{}".utf8))
            }
            let status = try await Self.create(ingress, prefer: "wait=10").status
            #expect(status == 200)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func theOutcomeMayBeAProblem() async throws {
        try await withIngress { ingress in
            let problem = Problem.scheduleConflict(
                detail: "Crew A is taken.",
                conflicts: [
                    Problem.Conflict(
                        resource: ResourceID(digest: Array(repeating: 5, count: 16)), resourceName: "Crew A",
                        reason: "is booked")
                ], alternatives: [])
            ingress.broker.onPublish { message in
                guard let command = try? WireJSON.decode(CreateJob.self, from: message.envelope.body) else { return }
                await ingress.operations.finish(
                    command.context.operation, status: 409, outcome: (try? WireJSON.encode(problem)) ?? [])
            }
            let response = try await Self.create(ingress, prefer: "wait=5")
            #expect(response.status == 409)
            #expect(response.problemType == "schedule-conflict")
            #expect(
                try (response.json["conflicts"] as? [[String: Any]])?.first?["resource_name"] as? String == "Crew A")
            let id = try #require(try response.json["instance"] as? String)
            let operation = try await ingress.send("GET", id)
            #expect(try operation.json["status"] as? String == "failed")
            let outcome = try #require(try operation.json["outcome"] as? [String: Any])
            #expect(outcome["type"] as? String == "/problems/schedule-conflict")
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aWaitThatEndsFirstIsAnsweredWithTheOperation() async throws {
        try await withIngress {
            $0.maxWait = .milliseconds(300)
        } _: { ingress in
            let response = try await Self.create(ingress, prefer: "wait=99999999999")
            #expect(response.status == 202)
            #expect(response.headers["Location"]?.hasPrefix("/v1/operations/") == true)
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: ["wait", "wait=", "wait=-1", "wait=x", "wait=0", "return=minimal"])
    func preferencesThatMeanNothingAreIgnored(prefer: String) async throws {
        try await withIngress { ingress in
            let response = try await Self.create(ingress, prefer: prefer)
            #expect(response.status == 202)
            #expect(response.headers["Preference-Applied"] == nil)
        }
    }

    // MARK: - Failures

    @Test(.timeLimit(.minutes(1)))
    func withTheBrokerAwayOperationAndCommandAreStoredTogether() async throws {
        try await withIngress { ingress in
            ingress.broker.isReady = false
            ingress.broker.failure = .unavailable
            let status = try await Self.create(ingress).status
            #expect(status == 202)
            #expect(await ingress.operations.count == 1)
            #expect(await ingress.operations.spooled.map(\.routingKey) == ["job.create"])
            #expect(ingress.metrics.counterTotal(label: "ingress.spooled", dimensions: [("kind", "command")]) == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [PublishError.Kind.unavailable, .unknown, .refused])
    func aCommandThatIsNotConfirmedIsSpooled(failure: PublishError.Kind) async throws {
        try await withIngress { ingress in
            ingress.broker.failure = failure
            let status = try await Self.create(ingress).status
            #expect(status == 202)
            #expect(await ingress.operations.spooled.count == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func withTheDatabaseAwayNothingIsAcceptedAndNothingIsToldOfIt() async throws {
        try await withIngress { ingress in
            await ingress.operations.fail(
                with: PostgresError(.connectionFailed, "connection to secret-host refused"))
            let response = try await Self.create(ingress)
            #expect(response.status == 503)
            #expect(response.problemType == "dependency-unavailable")
            #expect(response.headers["Retry-After"] != nil)
            #expect(!response.text.contains("secret-host"))
            #expect(ingress.broker.messages.isEmpty)
            var unknown = PostgresError(.connectionLost, "lost during the commit")
            unknown.isCommitUnknown = true
            await ingress.operations.fail(with: unknown)
            let undecided = try await Self.create(ingress)
            #expect(undecided.status == 503, "the caller repeats it under the same key")
            await ingress.operations.fail(with: PostgresError(.decodingFailed, "column secret_column"))
            let broken = try await Self.create(ingress)
            #expect(broken.status == 500)
            #expect(broken.problemType == "internal-error")
            #expect(!broken.text.contains("secret"))
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func anOverloadLeavesTheOperationToBeTriedAgain() async throws {
        try await withIngress { ingress in
            ingress.broker.failure = .overloaded
            let status = try await Self.create(ingress).status
            #expect(status == 503)
            ingress.broker.failure = nil
            let statusAfter = try await Self.create(ingress).status
            #expect(statusAfter == 202)
            #expect(ingress.broker.messages.count == 1)
        }
    }
}
