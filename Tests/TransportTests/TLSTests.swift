import Foundation
import TestSupport
import Testing
import Transport

/// Certificates made for one test run, in a folder that goes with this object.
final class TestCertificates: Sendable {
    let folder: URL
    var ca: String { folder.appendingPathComponent("ca.pem").path }
    var strangerCA: String { folder.appendingPathComponent("stranger.pem").path }

    /// A certificate for 127.0.0.1 and one for another name, both by `ca`.
    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("certificates-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in ["ca", "stranger"] {
            try openssl("req -x509 \(Self.newKey) -days 2 -subj /CN=\(name) -keyout \(name).key -out \(name).pem")
        }
        for (name, subject) in [("good", "IP:127.0.0.1,DNS:localhost"), ("wrong", "DNS:elsewhere.test")] {
            try openssl(
                "req -x509 \(Self.newKey) -days 2 -subj /CN=\(name) -CA ca.pem -CAkey ca.key -keyout \(name).key"
                    + " -addext subjectAltName=\(subject) -addext basicConstraints=critical,CA:FALSE -out \(name).pem")
        }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

    private func openssl(_ arguments: String) throws {
        struct Failure: Error { let arguments: String }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = folder
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(arguments: arguments) }
    }
}

/// The small HTTPS server of the fixtures, as a child process.
final class TLSServer {
    let port: Int
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ certificates: TestCertificates, certificate: String, protocol name: String) throws {
        struct NoPort: Error {}
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        let path = certificates.folder.appendingPathComponent(certificate).path
        process.arguments = [try fixture("tls_http_server.py").path, path + ".pem", path + ".key", name]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = ""
        while !line.hasSuffix("\n") {
            guard let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty else { throw NoPort() }
            line += String(decoding: byte, as: UTF8.self)
        }
        guard let port = Int(line.dropLast()) else { throw NoPort() }
        self.port = port
    }

    /// Ends the server and gives what it noted: "connection", "request" and "gone", in order.
    func stop() throws -> [String] {
        try input.fileHandleForWriting.close()
        let rest = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: rest, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

@Suite(.timeLimit(.minutes(1))) struct HTTPSTests {
    private static let certificates = Result { try TestCertificates() }

    @Test(arguments: [("h2", HTTPResponse.Version.http2, "over h2"), ("http/1.1", .http11, "over h1")])
    func theProtocolIsAgreedAndTheConnectionKept(
        _ name: String, _ version: HTTPResponse.Version, _ body: String
    ) async throws {
        let certificates = try Self.certificates.get()
        let server = try TLSServer(certificates, certificate: "good", protocol: name)
        let client = HTTPClient(name: "https-test")
        for _ in 0..<3 {
            let response = try await client.send(
                HTTPRequest(url: "https://127.0.0.1:\(server.port)/", caFile: certificates.ca))
            #expect(response.httpVersion == version && response.body == Array(body.utf8))
        }
        await client.close()
        let notes = try server.stop()
        #expect(notes.count { $0 == "connection" } == 1)
        #expect(notes.count { $0 == "request" } == 3)
    }

    @Test func manyRequestsShareOneHTTP2Connection() async throws {
        let certificates = try Self.certificates.get()
        let server = try TLSServer(certificates, certificate: "good", protocol: "h2")
        let client = HTTPClient(name: "https-test")
        let request = HTTPRequest(url: "https://127.0.0.1:\(server.port)/", caFile: certificates.ca)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 { group.addTask { try await client.send(request).status } }
            for try await status in group { #expect(status == 200) }
        }
        await client.close()
        #expect(try server.stop().count { $0 == "connection" } == 1)
    }

    enum Mistrust: CaseIterable { case wrongName, strangerAuthority, systemAuthorities }

    @Test(arguments: Mistrust.allCases) func nothingIsSentToAServerThatIsNotProven(_ mistrust: Mistrust) async throws {
        let certificates = try Self.certificates.get()
        let server = try TLSServer(
            certificates, certificate: mistrust == .wrongName ? "wrong" : "good", protocol: "http/1.1")
        let client = HTTPClient(name: "https-test")
        let caFile: String? =
            switch mistrust {
            case .wrongName: certificates.ca
            case .strangerAuthority: certificates.strangerCA
            case .systemAuthorities: nil
            }
        let error = await failure(client, HTTPRequest(url: "https://127.0.0.1:\(server.port)/", caFile: caFile))
        #expect(error?.code == .tls && error?.mayHaveBeenSent == false && error?.isRetriable == false)
        await client.close()
        #expect(try server.stop().contains("request") == false)
    }

    @Test func aKeptConnectionIsNotSharedWithOtherTrust() async throws {
        let certificates = try Self.certificates.get()
        let server = try TLSServer(certificates, certificate: "good", protocol: "http/1.1")
        let client = HTTPClient(name: "https-test")
        let url = "https://127.0.0.1:\(server.port)/"
        #expect(try await client.send(HTTPRequest(url: url, caFile: certificates.ca)).status == 200)
        #expect(await failure(client, HTTPRequest(url: url))?.code == .tls)
        await client.close()
        _ = try server.stop()
    }

    @Test func aMissingCAFileIsATLSError() async throws {
        let client = HTTPClient(name: "https-test")
        let port = try ScriptedServer.closedPort()
        let certificates = try Self.certificates.get()
        let server = try TLSServer(certificates, certificate: "good", protocol: "http/1.1")
        let error = await failure(
            client, HTTPRequest(url: "https://127.0.0.1:\(server.port)/", caFile: "/nonexistent/\(port).pem"))
        #expect(error?.code == .tls)
        await client.close()
        _ = try server.stop()
    }
}
