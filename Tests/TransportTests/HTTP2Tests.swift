import TestSupport
import Testing
import Transport

/// Many requests on one connection, and what happens when it ends under them.
@Suite(.timeLimit(.minutes(1))) struct HTTP2Tests {
    private static let certificates = Result { try TestCertificates() }

    /// How many of so many requests at once had status 200, and how the others failed.
    private static func send(
        _ count: Int, _ request: HTTPRequest, by client: HTTPClient
    ) async -> (answered: Int, failures: [TransportError]) {
        await withTaskGroup(of: Result<Int, TransportError>.self) { group in
            for _ in 0..<count {
                group.addTask {
                    do throws(TransportError) {
                        return .success(try await client.send(request).status)
                    } catch {
                        return .failure(error)
                    }
                }
            }
            var (answered, failures) = (0, [TransportError]())
            for await result in group {
                switch result {
                case .success(let status): answered += status == 200 ? 1 : 0
                case .failure(let error): failures.append(error)
                }
            }
            return (answered, failures)
        }
    }

    /// The server answers none of them before sixteen have come on one connection.
    @Test func sixteenRequestsAreUnderWayAtOnceOnOneConnection() async throws {
        let certificates = try Self.certificates.get()
        let server = try TLSServer(certificates, certificate: "good", protocol: "h2+together:16")
        let client = HTTPClient(name: "http2-test")
        let request = HTTPRequest(url: "https://127.0.0.1:\(server.port)/", caFile: certificates.ca)
        let (answered, failures) = await Self.send(48, request, by: client)
        #expect(answered == 48 && failures.isEmpty)
        await client.close()
        let notes = try server.stop()
        #expect(notes.count { $0 == "connection" } == 1)
        #expect(notes.count { $0 == "request" } == 48)
    }

    /// A server that shuts down says which requests it has taken. The others go to a new connection if their method allows
    /// it, and none is done twice.
    @Test(arguments: ["GET", "POST"]) func whatAServerTurnsAwayAsItLeavesIsNotLost(_ method: String) async throws {
        let certificates = try Self.certificates.get()
        let server = try TLSServer(certificates, certificate: "good", protocol: "h2+goaway:3")
        let client = HTTPClient(name: "http2-test")
        // libcurl 7.88 does not end streams that a GOAWAY leaves out; only the request's own time limit does.
        let request = HTTPRequest(
            method: method, url: "https://127.0.0.1:\(server.port)/", body: method == "POST" ? [1] : nil,
            timeout: .seconds(5), caFile: certificates.ca)
        let (answered, failures) = await Self.send(8, request, by: client)
        #expect(answered + failures.count == 8 && answered >= 3)
        #expect(failures.isEmpty || method == "POST")
        for error in failures { #expect(error.isRetriable && error.mayHaveBeenSent, "\(error)") }
        // The client goes on as if nothing had happened.
        #expect(try await client.send(request).status == 200)
        await client.close()
        let notes = try server.stop()
        #expect(notes.count { $0 == "goaway" } == 1)
        #expect(notes.count { $0 == "request" } == answered + 1)
    }
}
