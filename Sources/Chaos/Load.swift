import Domain
import Foundation
import Messaging
import Sandbox
import Transport

/// Plays the scripts of a run against the ingresses, as Calendly and the office would behind a load balancer: what was
/// not accepted is sent again, and a refused connection means the other ingress.
package struct Load: Sendable {
    /// How much is sent, and for how long.
    package struct Shape: Sendable {
        /// Requests for each second, about.
        package var rate: Double
        package var duration: Duration
        /// See `ScriptWriter`.
        package var mailTrouble: Double
        /// How long a sender goes on trying after the last request was due.
        package var patience: Duration

        package init(
            rate: Double, duration: Duration, mailTrouble: Double = 0, patience: Duration = .seconds(150)
        ) {
            self.rate = rate
            self.duration = duration
            self.mailTrouble = mailTrouble
            self.patience = patience
        }
    }

    private let site: Site
    private let record: Record
    private let apiKey: String
    private let shape: Shape
    private let scripts: [Script]
    private let givesUpAt: ContinuousClock.Instant

    package init(site: Site, record: Record, seed: UInt64, shape: Shape) async throws {
        self.site = site
        self.record = record
        self.shape = shape
        let key = try await site.run("keys", "create", "--name", "chaos", "--role", "dispatcher", "--days", "1")
        apiKey = key.trimmingCharacters(in: .whitespacesAndNewlines)
        let wanted = Int(shape.rate * (shape.duration / .seconds(1)))
        // About 1.7 requests come from a script.
        var writer = ScriptWriter(
            seed: seed, domain: site.mailDomain, stories: wanted * 10 / 17, mailTrouble: shape.mailTrouble)
        var scripts: [Script] = []
        var requests = 0
        while requests < wanted {
            let script = writer.write(scripts.count)
            requests += script.requestCount
            scripts.append(script)
        }
        self.scripts = scripts
        givesUpAt = ContinuousClock.now + shape.duration + shape.patience
    }

    /// Returns once every request was answered for good, or given up.
    package func play() async {
        let start = ContinuousClock.now
        await withDiscardingTaskGroup { group in
            for (index, script) in scripts.enumerated() {
                record.expect(script.story)
                let due = start + shape.duration * (Double(index) / Double(max(scripts.count, 1)))
                try? await Task.sleep(until: due)
                group.addTask { await play(script) }
            }
        }
    }

    private func play(_ script: Script) async {
        let number = script.story.number
        var job: String?
        for (index, step) in script.steps.enumerated() {
            switch step {
            case .pause(let pause): try? await Task.sleep(for: pause)
            case .deliver(let delivery, let copies):
                await withDiscardingTaskGroup { group in
                    for _ in 0..<copies { group.addTask { await deliver(delivery, story: number) } }
                }
            case .createJob(let start, let copies):
                let body: Sandbox.JSONValue = [
                    "customer": ["name": .string("Customer \(number)"), "email": .string(script.story.email)],
                    "site": ["address": "6575 West Pike, Zanesville, OH 43701", "time_zone": "America/New_York"],
                    "service": "patching", "starts_at": .string(Instant.text(start)),
                ]
                await withTaskGroup(of: String?.self) { group in
                    for _ in 0..<copies {
                        group.addTask { await write("/v1/jobs", "job-\(number)-\(index)", body, story: number) }
                    }
                    for await operation in group { job = operation ?? job }
                }
                if let operation = job { job = await subject(of: operation) }
            case .moveJob(let start):
                guard let job else { continue }
                _ = await write(
                    "/v1/jobs/\(job)/reschedule", "job-\(number)-\(index)",
                    ["starts_at": .string(Instant.text(start)), "reason": "Rain is forecast"], story: number)
            case .cancelJob:
                guard let job else { continue }
                _ = await write(
                    "/v1/jobs/\(job)/cancel", "job-\(number)-\(index)", ["reason": "Customer sold the house"],
                    story: number)
            }
        }
    }

    private func deliver(_ delivery: Delivery, story: Int) async {
        _ = await send(
            Record.Request(
                story: story, label: delivery.event,
                subject: .webhook(event: delivery.event, messageID: delivery.messageID), sentAt: Date())
        ) { ingress in
            // Signed anew for each try, so that a long outage does not make it stale.
            HTTPRequest(
                method: "POST", url: ingress + "/webhooks/calendly",
                headers: [
                    "Content-Type": "application/json",
                    "Calendly-Webhook-Signature": delivery.signature(key: site.signingKey, at: Date()),
                ], body: delivery.body, timeout: .seconds(20), connectTimeout: .seconds(2))
        }
    }

    /// The operation's id, if the write was accepted.
    private func write(_ path: String, _ key: String, _ body: Sandbox.JSONValue, story: Int) async -> String? {
        let key = "\(key)-\(site.mailDomain)"
        let bytes = (try? JSONEncoder().encode(body)).map(Array.init) ?? []
        let answer = await send(
            Record.Request(
                story: story, label: "POST \(path.split(separator: "/").last ?? "")",
                subject: .operation(route: "POST \(path)", key: key), sentAt: Date())
        ) { ingress in
            HTTPRequest(
                method: "POST", url: ingress + path,
                headers: [
                    "Authorization": "Bearer \(apiKey)", "Content-Type": "application/json", "Idempotency-Key": key,
                ], body: bytes, timeout: .seconds(20), connectTimeout: .seconds(2))
        }
        guard let answer, (200..<300).contains(answer.status) else { return nil }
        if answer.status == 202 { return (try? WireJSON.decode(Operation.self, from: answer.body))?.id }
        // A repeated request that has finished meanwhile is answered with its outcome; its operation is the answer's job.
        return (try? WireJSON.decode(Operation.self, from: answer.body)).map { "done:\($0.id)" }
    }

    private struct Operation: Decodable {
        let id: String
        let status: String?
        let subjectId: String?
    }

    /// Waits until an operation has finished, and gives the job that it is about.
    private func subject(of operation: String) async -> String? {
        if operation.hasPrefix("done:") { return String(operation.dropFirst(5)) }
        var turn = 0
        while ContinuousClock.now < givesUpAt, !Task.isCancelled {
            let ingress = site.ingresses[turn % site.ingresses.count]
            turn += 1
            let answer = try? await site.http.send(
                HTTPRequest(
                    url: "\(ingress)/v1/operations/\(operation)", headers: ["Authorization": "Bearer \(apiKey)"],
                    timeout: .seconds(10), connectTimeout: .seconds(2)))
            if let answer, answer.status == 200,
                let found = try? WireJSON.decode(Operation.self, from: answer.body), found.status != "pending"
            {
                return found.status == "succeeded" ? found.subjectId : nil
            }
            try? await Task.sleep(for: .milliseconds(300))
        }
        return nil
    }

    /// Sends until there is a final answer: 2xx, or a 4xx other than 408 and 429.
    private func send(
        _ request: Record.Request, _ make: (String) -> HTTPRequest
    ) async -> HTTPResponse? {
        var request = request
        var turn = request.story
        var refusals = 0
        var final: HTTPResponse?
        while final == nil, ContinuousClock.now < givesUpAt, !Task.isCancelled {
            let ingress = site.ingresses[turn % site.ingresses.count]
            turn += 1
            do throws(TransportError) {
                let answer = try await site.http.send(make(ingress))
                if (200..<300).contains(answer.status)
                    || ((400..<500).contains(answer.status) && ![408, 429].contains(answer.status))
                {
                    final = answer
                    break
                }
                request.failures.append("\(answer.status)")
            } catch {
                if error.code == .connect, !error.mayHaveBeenSent {
                    record.refused()
                    refusals += 1
                    // Only when no ingress is there at all is there something to wait for.
                    if refusals < site.ingresses.count { continue }
                    refusals = 0
                }
                request.failures.append("\(error.code): \(error.message)")
            }
            try? await Task.sleep(for: .milliseconds(250))
        }
        request.status = final?.status
        record.add(request)
        return final
    }
}
