import Domain
import Foundation
import NotificationWorker
import Persistence
import Testing

@Suite struct MailTemplatesTests {
    private func text(_ notice: PlannedNotification) throws -> MailTemplates.Text {
        try MailTemplates(officePhone: "+1 740 555 0199").text(of: notice)
    }

    @Test(arguments: MailTemplates.names, [true, false])
    func everyTemplateRendersFromManyFactsAndFromFew(_ template: String, _ isFull: Bool) throws {
        let text = try text(Sample.notice(template, isFull: isFull))
        for part in [text.subject, text.body] {
            #expect(!part.contains("{{") && !part.contains("}}"))
            #expect(!part.contains("nil") && !part.contains("Optional"))
        }
        #expect(!text.subject.isEmpty && !text.subject.contains { $0.isNewline })
        #expect(text.subject.contains("March 16, 2027"))
        #expect(!text.body.contains("\n\n\n"))
        #expect(text.body.hasSuffix("\n") && !text.body.hasSuffix("\n\n") && !text.body.hasPrefix("\n"))
        #expect(text.body.contains("9:00 AM to 10:00 AM EDT"))
        let lines = text.body.split(separator: "\n")
        #expect(lines.allSatisfy { !$0.hasPrefix(" ") && !$0.hasSuffix(" ") && !$0.hasPrefix(",") })
        if !isFull {
            // No label without what it labels.
            let labels = ["Where:", "Reason:", "Customer:", "Who:", "It was:", "To cancel:"]
            #expect(lines.allSatisfy { !labels.contains(String($0)) })
            #expect(!text.body.contains(" ,") && !text.body.contains("http"))
        }
    }

    /// What each template has to say when it is known.
    @Test(arguments: [
        ("consultation_booked", ["Ann Example", "12 Sample Road", "cancellations/abc", "reschedulings/abc"]),
        ("consultation_moved", ["Ann Example", "March 12, 2027", "12 Sample Road", "cancellations/abc"]),
        ("consultation_merged", ["Ann Example", "stands"]), ("consultation_canceled", ["Ann Example", "It rains"]),
        ("job_scheduled", ["Ann Example", "12 Sample Road", "Crew One"]),
        ("job_moved", ["Ann Example", "March 12, 2027", "12 Sample Road", "It rains"]),
        ("job_canceled", ["Ann Example", "It rains"]),
        ("visit_assigned", ["12 Sample Road", "+1 614 555 0100", "2 other customers"]),
        ("visit_moved", ["March 12, 2027", "12 Sample Road", "It rains", "2 other customers"]),
        ("visit_released", ["12 Sample Road", "2 other customers"]),
        ("visit_unassigned", ["Eve is away", "Max is taken", "March 12, 2027", "Max", "+1 614 555 0100"]),
    ])
    func templatesSayWhatIsKnown(_ template: String, _ facts: [String]) throws {
        let body = try text(Sample.notice(template)).body
        for fact in facts { #expect(body.contains(fact), "\(fact) is missing") }
    }

    @Test func everyTemplateIsPlannedBySomething() {
        #expect(MailTemplates.names.count == 11)
    }

    /// Nobody can write a paragraph or a header of ours through a booking form.
    @Test(arguments: MailTemplates.names)
    func whatPeopleTypedStaysOnItsLine(_ template: String) throws {
        let forged = "X\r\nBcc: all@example.com\n\nYour account is locked\u{2028}now\u{85}\u{0}\u{202E}"
        let honest = try text(Sample.notice(template))
        let text = try text(
            Sample.notice(template) { notice in
                notice.recipientName = forged
                notice.facts.what = forged
                notice.facts.customerName = forged
                notice.facts.customerPhone = forged
                notice.facts.address = forged
                notice.facts.assignee = forged
                notice.facts.reason = forged
                notice.facts.reasons = [forged, forged]
                notice.facts.cancelLink = forged
                notice.facts.rescheduleLink = forged
            })
        func lineCount(_ text: String) -> Int { text.split(omittingEmptySubsequences: false) { $0.isNewline }.count }
        #expect(lineCount(text.body) == lineCount(honest.body))
        #expect(lineCount(text.subject) == 1)
        #expect(
            (text.subject + text.body).unicodeScalars.allSatisfy {
                $0 == "\n" || $0.properties.generalCategory != .control && !$0.properties.isBidiControl
            })
    }

    @Test func bracesThatPeopleTypedAreNoTemplate() throws {
        let body = try text(Sample.notice("consultation_booked") { $0.recipientName = "{{{office_phone}}}" }).body
        #expect(body.hasPrefix("Hello {{{office_phone}}},"))
    }

    @Test func unicodeStaysAsItIs() throws {
        let name = "Zoë Müller-Łukasz 王小明 👩‍👩‍👧‍👦"
        let body = try text(Sample.notice("consultation_booked") { $0.recipientName = name }).body
        #expect(body.hasPrefix("Hello \(name),"))
    }

    @Test func anUnknownTemplateIsAnError() throws {
        let notice = try Sample.notice("no_such_template")
        #expect(throws: MailTemplates.Broken.self) { try text(notice) }
    }
}
