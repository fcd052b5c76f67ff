import Testing
import Transport

/// What a failed transfer means: a table, because that is what operators and reviewers want to read.
@Suite struct SMTPClassificationTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let curl: Int
        let stage: SMTPError.Stage
        let reply: Int
        var enhanced: EnhancedStatusCode?
        let expected: SMTPError.Class

        init(
            _ curl: Int, _ stage: SMTPError.Stage, _ reply: Int, _ enhanced: EnhancedStatusCode?,
            _ expected: SMTPError.Class
        ) {
            (self.curl, self.stage, self.reply, self.enhanced, self.expected) = (curl, stage, reply, enhanced, expected)
        }

        init(_ curl: Int, _ stage: SMTPError.Stage, _ reply: Int, _ expected: SMTPError.Class) {
            self.init(curl, stage, reply, nil, expected)
        }

        var testDescription: String { "curl \(curl), \(stage) answered \(reply)" }
    }

    static let table: [Row] = [
        // The network.
        Row(6, .connect, 0, .transient(code: 0)), Row(7, .connect, 0, .transient(code: 0)),
        Row(28, .connect, 0, .transient(code: 0)), Row(35, .connect, 0, .transient(code: 0)),
        Row(52, .connect, 0, .transient(code: 0)), Row(56, .connect, 0, .transient(code: 0)),
        Row(55, .mailFrom, 0, .transient(code: 0)), Row(56, .recipient, 0, .transient(code: 0)),
        Row(28, .data, 354, .transient(code: 0)), Row(56, .data, 354, .transient(code: 0)),
        // TLS and credentials.
        Row(60, .connect, 0, .configuration(code: 0)), Row(60, .startTLS, 220, .configuration(code: 220)),
        Row(64, .hello, 250, .configuration(code: 250)), Row(77, .connect, 0, .configuration(code: 0)),
        Row(67, .hello, 250, .configuration(code: 250)), Row(64, .startTLS, 454, .transient(code: 454)),
        Row(67, .authentication, 454, .transient(code: 454)), Row(67, .authentication, 535, .configuration(code: 535)),
        Row(67, .authentication, 534, .configuration(code: 534)), Row(55, .mailFrom, 530, .configuration(code: 530)),
        Row(67, .authentication, 538, .configuration(code: 538)),
        Row(67, .authentication, 504, .configuration(code: 504)),
        // The greeting.
        Row(8, .greeting, 421, .transient(code: 421)), Row(8, .greeting, 554, .configuration(code: 554)),
        // The sender.
        Row(55, .mailFrom, 451, .transient(code: 451)), Row(55, .mailFrom, 552, .permanent(code: 552)),
        Row(55, .mailFrom, 552, EnhancedStatusCode(5, 3, 4), .permanent(code: 552)),
        Row(55, .mailFrom, 553, EnhancedStatusCode(5, 7, 1), .configuration(code: 553)),
        Row(55, .mailFrom, 550, .configuration(code: 550)), Row(55, .mailFrom, 501, .permanent(code: 501)),
        // The recipient.
        Row(55, .recipient, 450, .transient(code: 450)), Row(55, .recipient, 452, .transient(code: 452)),
        Row(55, .recipient, 455, .transient(code: 455)), Row(55, .recipient, 421, .transient(code: 421)),
        Row(55, .recipient, 550, .permanent(code: 550)), Row(55, .recipient, 551, .permanent(code: 551)),
        Row(55, .recipient, 553, .permanent(code: 553)), Row(55, .recipient, 554, .permanent(code: 554)),
        Row(55, .recipient, 552, .permanent(code: 552)),
        Row(55, .recipient, 552, EnhancedStatusCode(5, 5, 3), .transient(code: 552)),
        Row(55, .recipient, 500, .permanent(code: 500)), Row(55, .recipient, 503, .permanent(code: 503)),
        Row(55, .recipient, 555, .permanent(code: 555)),
        // DATA and the final dot.
        Row(55, .data, 452, .transient(code: 452)), Row(55, .data, 554, .permanent(code: 554)),
        Row(8, .message, 451, .transient(code: 451)), Row(8, .message, 421, .transient(code: 421)),
        Row(8, .message, 552, .permanent(code: 552)), Row(8, .message, 554, .permanent(code: 554)),
        Row(8, .message, 550, EnhancedStatusCode(5, 7, 1), .permanent(code: 550)),
        Row(56, .message, 0, .ambiguous), Row(28, .message, 0, .ambiguous), Row(55, .message, 0, .ambiguous),
        Row(42, .message, 0, .ambiguous), Row(60, .message, 0, .ambiguous), Row(56, .message, 354, .ambiguous),
    ]

    @Test(arguments: table) func repliesAndStagesDecide(_ row: Row) {
        let found = SMTPError.classify(
            curlCode: row.curl, stage: row.stage, replyCode: row.reply, enhancedCode: row.enhanced)
        #expect(found == row.expected)
    }

    @Test func everyFourHundredIsTransientAtEveryStage() {
        for code in 400...499 {
            for stage in [SMTPError.Stage.greeting, .startTLS, .authentication, .mailFrom, .recipient, .data, .message]
            {
                for curl in [8, 55, 56, 64, 67] {
                    #expect(
                        SMTPError.classify(curlCode: curl, stage: stage, replyCode: code) == .transient(code: code))
                }
            }
        }
    }

    @Test func aRefusalForPolicyIsMarked() {
        let refusal = SMTPError(
            class: .permanent(code: 550), stage: .message, replyCode: 550, enhancedCode: EnhancedStatusCode(5, 7, 1))
        #expect(refusal.isPolicyRefusal)
        #expect(SMTPError(class: .permanent(code: 550), stage: .recipient, replyCode: 550).isPolicyRefusal == false)
    }

    @Test func addressesStayOutOfTheDescription() {
        let error = SMTPError(
            class: .permanent(code: 550), stage: .recipient, replyCode: 550,
            replyText: "5.1.1 <pat@example.test>: no such user")
        #expect(error.description.contains("pat") == false)
        #expect(error.description.contains("5.1.1 <address> no such user"))
        #expect(String(reflecting: error).contains("pat@example.test"))
    }

    @Test func theReplyTextIsCapped() {
        let error = SMTPError(class: .ambiguous, stage: .message, replyText: String(repeating: "x", count: 10_000))
        #expect(error.replyText.count == 500)
    }
}
