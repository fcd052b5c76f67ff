import Domain
import Foundation
import Ingress
import Logging
import MetricsTestKit
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import Transport

@Suite struct ServerTests {
    @Test(.timeLimit(.minutes(1)))
    func everyAnswerHasTheHeadersThatKeepItSafe() async throws {
        try await withIngress { ingress in
            let answers = [
                try await ingress.send("GET", "/v1/jobs"), try await ingress.send("GET", "/nowhere"),
                try await ingress.send("GET", "/v1/jobs", key: nil),
                try await ingress.webhook(Array(#"{"event":"x"}"#.utf8)),
            ]
            for response in answers {
                #expect(response.headers["X-Content-Type-Options"] == "nosniff")
                #expect(response.headers["Cache-Control"] == "no-store")
                #expect(response.headers["Content-Security-Policy"] != nil)
                #expect(response.headers["Server"] == "neff")
                #expect(response.headers["Date"] == "Wed, 10 Mar 2027 14:46:40 GMT")
                #expect(response.headers["X-Request-Id"]?.hasPrefix("req_") == true)
                #expect(response.headers["Strict-Transport-Security"] == nil)
            }
        }
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("abc-DEF_1.2", true), (String(repeating: "a", count: 128), true),
            (String(repeating: "a", count: 129), false),
            ("with space", false), ("semi;colon", false), ("ü", false),
        ])
    func requestIDsComeBackIfTheyAreHarmless(id: String, isKept: Bool) async throws {
        try await withIngress { ingress in
            let response = try await ingress.send("GET", "/nowhere", headers: [("X-Request-Id", id)])
            #expect((response.headers["X-Request-Id"] == id) == isKept)
            #expect(try response.json["request_id"] as? String == response.headers["X-Request-Id"])
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func unknownPathsAreNotFoundAndWrongMethodsAreNotAllowed() async throws {
        try await withIngress { ingress in
            for path in [
                "/", "/v1", "/v1/jobs/", "/v1//jobs", "/v1/jobs/x/y", "/V1/jobs", "/v1/%6Aobs", "/webhooks/stripe",
            ] {
                let response = try await ingress.send("GET", path)
                #expect(response.status == 404, "\(path)")
                #expect(response.problemType == "not-found")
            }
            for (method, path, allow) in [
                ("DELETE", "/v1/jobs", "POST, GET, HEAD"), ("GET", "/webhooks/calendly", "POST"),
                ("PUT", "/v1/jobs/x", "GET, HEAD"), ("GET", "/v1/jobs/x/cancel", "POST"),
                ("OPTIONS", "/v1/operations/x", "GET, HEAD"),
            ] {
                let response = try await ingress.send(method, path)
                #expect(response.status == 405, "\(method) \(path)")
                #expect(response.problemType == "method-not-allowed")
                #expect(response.headers["Allow"] == allow)
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func headIsGetWithoutTheBody() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send(
                    "HEAD /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(await connection.receive(until: "\"type\":\"/problems/not-found\""))
                let answers = connection.received.components(separatedBy: "HTTP/1.1 ")
                #expect(answers.count == 3)
                #expect(answers[1].hasPrefix("200"))
                #expect(answers[1].hasSuffix("\r\n\r\n"), "no body between the answers")
                #expect(answers[1].lowercased().contains("content-length: "))
                #expect(!answers[1].lowercased().contains("content-length: 0\r"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func requestsOfOneConnectionAreAnsweredInOrder() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                let count = 50
                let requests = (0..<count).map { "GET /n/\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }
                try await connection.send(requests.joined())
                #expect(await connection.receive(until: "\"instance\":\"/n/\(count - 1)\""))
                let positions = (0..<count).compactMap { connection.received.range(of: "\"/n/\($0)\"")?.lowerBound }
                #expect(positions.count == count)
                #expect(positions == positions.sorted())
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aWholeURLIsAsGoodAsItsPath() async throws {
        try await withIngress { ingress in
            try await RawConnection.with(port: ingress.port) { connection in
                try await connection.send("GET http://example.test/problems/validation?x HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(await connection.receive(until: "HTTP/1.1 200"))
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func strangersLearnWhetherItIsReadyAndNothingElse() async throws {
        for isReady in [true, false] {
            try await withIngress(probes: Probes { isReady }) { ingress in
                let health = try await ingress.send("GET", "/healthz", key: nil)
                #expect(health.status == 200 && health.text == #"{"live":true}"#)
                let readiness = try await ingress.send("GET", "/readyz", key: nil)
                #expect(readiness.status == (isReady ? 200 : 503))
                #expect(readiness.text == #"{"ready":\#(isReady)}"#)
                #expect(try await ingress.send("GET", "/metrics", key: nil).status == 404)
            }
        }
    }

    /// A crowd that asks must not empty the pool of database connections.
    @Test(.timeLimit(.minutes(1)))
    func readinessIsAskedOnceForEverybodyWhoWaits() async throws {
        let (gate, opener) = AsyncStream<Void>.makeStream()
        let (begun, beginner) = AsyncStream<Void>.makeStream()
        let asked = Mutex(0)
        let probes = Probes {
            asked.withLock { $0 += 1 }
            beginner.yield()
            for await _ in gate { break }
            return true
        }
        try await withIngress(probes: probes) { ingress in
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await ingress.send("GET", "/readyz", key: nil).status }
                for await _ in begun { break }
                for _ in 0..<10 { group.addTask { try await ingress.send("GET", "/readyz", key: nil).status } }
                opener.finish()
                for try await status in group { #expect(status == 200) }
            }
        }
        // More than one only if the ten took longer than a second to come.
        #expect(asked.withLock { $0 } < 11)
    }

    @Test func aSharedAnswerIsAskedForAgainWhenItIsOld() async {
        let start = ContinuousClock.now
        let seconds = Mutex(0.0)
        let answers = Mutex([true, false])
        let shared = SharedAnswer(
            lifetime: .seconds(1), now: { start + .seconds(seconds.withLock { $0 }) },
            ask: { answers.withLock { $0.removeFirst() } })
        #expect(await shared.value())
        seconds.withLock { $0 = 0.9 }
        #expect(await shared.value())
        seconds.withLock { $0 = 1 }
        #expect(await !shared.value())
        seconds.withLock { $0 = 1.5 }
        #expect(await !shared.value())
    }

    @Test(.timeLimit(.minutes(1)))
    func everyProblemTypeHasItsPage() async throws {
        try await withIngress { ingress in
            for type in ProblemType.allCases {
                let response = try await ingress.send("GET", "/problems/\(type.rawValue)", key: nil)
                #expect(response.status == 200)
                #expect(response.text.hasPrefix(type.title))
            }
            #expect(try await ingress.send("GET", "/problems/none", key: nil).status == 404)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func requestsAreCountedByRouteAndStatus() async throws {
        try await withIngress { ingress in
            _ = try await ingress.webhook(Array(#"{"event":"x"}"#.utf8))
            _ = try await ingress.webhook(Array(#"{"event":"x"}"#.utf8), signature: "no")
            _ = try await ingress.send("GET", "/v1/jobs/\(Samples.job.id)")
            _ = try await ingress.send("GET", "/wp-login.php")
            func count(_ route: String, _ status: Int) -> Int64 {
                ingress.metrics.counterTotal(
                    label: "http.requests", dimensions: [("route", route), ("status", "\(status)")])
            }
            #expect(count("POST /webhooks/calendly", 202) == 1)
            #expect(count("POST /webhooks/calendly", 401) == 1)
            #expect(count("GET /v1/jobs/{id}", 404) == 1)
            #expect(count("unmatched", 404) == 1)
            #expect(ingress.metrics.counterTotal(label: "http.requests") == 4)
            let durations = ingress.metrics.timers(label: "http.request.duration")
            #expect(durations.map(\.values.count).reduce(0, +) == 4)
        }
    }

    // MARK: - Starting and stopping

    @Test(.timeLimit(.minutes(1)))
    func aTakenPortIsNamed() async throws {
        try await withIngress { ingress in
            let second = try Harness({ $0.address.port = ingress.port }, probes: Probes())
            let error = await #expect(throws: IngressError.self) { try await second.server.run() }
            #expect(error?.code == .cannotListen)
            #expect(error?.description.contains("127.0.0.1:\(ingress.port)") == true)
            await #expect(throws: CancellationError.self) { try await second.server.port() }
            await second.client.close()
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aBadConfigurationNamesTheSetting() {
        func message(_ change: (inout IngressConfiguration) -> Void) -> String? {
            var configuration = IngressConfiguration(calendlySigningKeys: ["k"], isProduction: true)
            change(&configuration)
            do throws(IngressError) {
                try configuration.validate()
                return nil
            } catch {
                return error.code == .invalidConfiguration ? error.description : "?"
            }
        }
        #expect(message { _ in } == nil)
        #expect(message { $0.calendlySigningKeys = [] }?.contains("CALENDLY_WEBHOOK_SIGNING_KEY") == true)
        #expect(message { $0.calendlySigningKeys = [""] }?.contains("CALENDLY_WEBHOOK_SIGNING_KEY") == true)
        #expect(message { $0.address.port = 70_000 }?.contains("70000") == true)
        #expect(message { $0.eventLoopThreads = 0 } != nil)
        #expect(message { $0.signatureTolerance = .zero } != nil)
    }

    @Test(.timeLimit(.minutes(1)))
    func whatIsInHandIsFinishedBeforeTheEnd() async throws {
        let harness = try Harness({ _ in }, probes: Probes())
        let group = ServiceGroup(services: [harness.server], logger: .silent)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            harness.started(on: try await harness.server.port())
            harness.broker.hold()
            async let response = harness.webhook(Array(#"{"event":"x"}"#.utf8))
            await harness.broker.wait { $0.heldCount > 0 }
            await group.triggerGracefulShutdown()
            // No new connection is taken from now on, while the old request still waits for its confirm.
            while (try? await RawConnection.with(port: harness.port, { _ in true })) == true, !Task.isCancelled {}
            harness.broker.release()
            #expect(try await response.status == 202)
            try await tasks.waitForAll()
        }
        await harness.client.close()
    }

    @Test(.timeLimit(.minutes(1)))
    func whoeverWaitsForAnOutcomeIsLetGoWhenTheServerStops() async throws {
        let harness = try Harness({ _ in }, probes: Probes())
        let group = ServiceGroup(services: [harness.server], logger: .silent)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            harness.started(on: try await harness.server.port())
            async let response = harness.send(
                "POST", "/v1/jobs", headers: [("Idempotency-Key", "k"), ("Prefer", "wait=10")], body: Samples.createJob)
            await harness.broker.wait { !$0.messages.isEmpty }
            let start = ContinuousClock.now
            await group.triggerGracefulShutdown()
            #expect(try await response.status == 202)
            try await tasks.waitForAll()
            #expect(start.duration(to: .now) < .seconds(5), "it did not wait for the outcome")
        }
        await harness.client.close()
    }

    @Test(.timeLimit(.minutes(1)))
    func theDeadlineEndsWhatDoesNotEnd() async throws {
        let harness = try Harness({ $0.shutdownDeadline = .milliseconds(200) }, probes: Probes())
        let group = ServiceGroup(services: [harness.server], logger: .silent)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            harness.started(on: try await harness.server.port())
            // A peer that has sent half a request and will send no more.
            try await RawConnection.with(port: harness.port) { connection in
                try await connection.send("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1")
                try await Task.sleep(for: .milliseconds(50))
                await group.triggerGracefulShutdown()
                _ = await connection.receiveToEnd()
                #expect(connection.isClosed)
            }
            try await tasks.waitForAll()
        }
        await harness.client.close()
    }

    // MARK: - TLS

    @Test(.timeLimit(.minutes(1)))
    func servesOverTLS() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "neff-ingress-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (key, certificate) = (folder.path + "/key.pem", folder.path + "/certificate.pem")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        try await withIngress {
            $0.tls = .init(certificateChainPath: certificate, privateKeyPath: key)
            $0.isProduction = true
        } _: { ingress in
            var request = HTTPRequest(method: "GET", url: "https://127.0.0.1:\(ingress.port)/problems/validation")
            request.caFile = certificate
            let response = try await ingress.client.send(request)
            #expect(response.status == 200)
            #expect(response.headers["Strict-Transport-Security"] == "max-age=31536000")
        }
        let broken = try Harness(
            { $0.tls = .init(certificateChainPath: "/nonexistent.pem", privateKeyPath: key) }, probes: Probes())
        let error = await #expect(throws: IngressError.self) { try await broken.server.run() }
        #expect(error?.code == .invalidCertificate)
        #expect(error?.description.contains("/nonexistent.pem") == true)
        await broken.client.close()
    }
}
