import Foundation

/// A message as Python's e-mail package reads it: a second opinion that shares no code with ours.
struct ReadMail: Decodable {
    struct Part: Decodable {
        let type: String
        let filename: String?
        let charset: String?
        let method: String?
        let text: String?
    }

    let names: [String]
    let subject: String
    let from: [[String]]
    let to: [[String]]
    let date: String
    let messageID: String
    let parts: [Part]
    let defects: [String]
    let longestLine: Int
    let bareLineEnds: Int
    let nonASCII: Int

    private enum CodingKeys: String, CodingKey {
        case names, subject, from, to, date, parts, defects
        case messageID = "message_id"
        case longestLine = "longest_line"
        case bareLineEnds = "bare_line_ends"
        case nonASCII = "non_ascii"
    }

    init(_ bytes: [UInt8]) throws {
        let script = try fixture("parse_mail.py")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [script.path]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(bytes))
        try input.fileHandleForWriting.close()
        let answer = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        self = try JSONDecoder().decode(ReadMail.self, from: answer)
    }
}

/// A file that travels with the tests.
func fixture(_ name: String) throws -> URL {
    struct Missing: Error { let name: String }
    guard let url = Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: nil) else {
        throw Missing(name: name)
    }
    return url
}
