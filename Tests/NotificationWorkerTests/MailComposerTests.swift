import Domain
import Foundation
import NotificationWorker
import Persistence
import Testing
import Transport

@Suite struct MailComposerTests {
    private func read(_ notice: PlannedNotification, isRepeat: Bool = false) throws -> MailReader {
        try MailReader(Sample.mail(notice, isRepeat: isRepeat).rendered())
    }

    @Test func aConfirmationIsReadBackWhole() throws {
        let mail = try read(Sample.notice("consultation_booked"))
        #expect(try mail.header("From") == "Neff Paving <scheduling@neff.example>")
        #expect(try mail.header("To") == "Ann Example <ann@example.com>")
        #expect(try mail.header("Reply-To") == "office@neff.example")
        #expect(try mail.header("Subject") == "Your residential consultation on March 16, 2027")
        #expect(try mail.header("Date") == "Fri, 19 Feb 2027 01:20:00 +0000")
        #expect(try mail.header("Message-ID") == "<ntf_1@neff.example>")
        #expect(try mail.header("Auto-Submitted") == "auto-generated")
        #expect(throws: MailReader.Malformed.self) { try mail.header("X-Neff-Repeat") }
        #expect(
            mail.root.all.map(\.type) == [
                "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar",
                "application/ics",
            ])
        let text = try mail.part("text/plain").text
        #expect(text.hasPrefix("Hello Ann Example,\n") && text.contains("9:00 AM to 10:00 AM EDT"))
        let part = try mail.part("text/calendar")
        #expect(part.parameter("method") == "REQUEST")
        let file = try mail.part("application/ics")
        #expect(part.content == file.content)
        let calendar = try CalendarReader(part.content)
        #expect(try calendar.text("UID") == "\(Sample.consultation)@neff.example")
        #expect(try calendar.text("SEQUENCE") == "3")
        #expect(try calendar.text("METHOD") == "REQUEST")
        #expect(try calendar.text("DESCRIPTION") == text)
        #expect(try calendar.text("LOCATION") == "12 Sample Road")
    }

    @Test func aCancellationTakesTheEntryBack() throws {
        let mail = try read(Sample.notice("consultation_canceled") { $0.facts.invitation = .cancel })
        let part = try mail.part("text/calendar")
        #expect(part.parameter("method") == "CANCEL")
        #expect(try CalendarReader(part.content).text("STATUS") == "CANCELLED")
    }

    @Test func aNoticeForTheOfficeHasNoCalendar() throws {
        let mail = try read(Sample.notice("visit_unassigned") { $0.facts.invitation = .none })
        #expect(mail.root.all.map(\.type) == ["multipart/alternative", "text/plain", "text/html"])
    }

    @Test func aRepeatSaysSo() throws {
        #expect(try read(Sample.notice("job_moved"), isRepeat: true).header("X-Neff-Repeat") == "possible")
    }

    @Test func headersHoldWhatPeopleTypedAndNothingElse() throws {
        let mail = try read(
            Sample.notice("consultation_booked") {
                $0.recipientName = "Zoë\r\nBcc: all@example.com\r\n\r\n<p>王小明"
                $0.facts.what = "consultation\r\nX-Evil: 1\u{0}"
            })
        #expect(mail.root.headers.allSatisfy { !["bcc", "x-evil"].contains($0.name.lowercased()) })
        #expect(try mail.header("Subject") == "Your consultation X-Evil: 1 on March 16, 2027")
        #expect(try mail.header("To").hasPrefix("Zoë Bcc: all@example.com <p>王小明"))
    }

    @Test func anAddressWithALineBreakIsRefused() throws {
        let notice = try Sample.notice("job_moved") { $0.recipient = "ann@example.com\r\nBcc: all@example.com" }
        #expect(throws: Mailbox.InvalidAddress.self) { try Sample.mail(notice) }
    }

    @Test func everythingIsEscapedInHTML() throws {
        let html = try #require(
            try Sample.mail(
                Sample.notice("consultation_canceled") {
                    $0.recipientName = "<script>alert('x')</script>"
                    $0.facts.reason = "a \" b & c <img src=x onerror=\u{301}x> \"\u{301} <\u{338}b>"
                }
            ).html)
        #expect(html.contains("Hello &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;,"))
        #expect(html.contains("a &quot; b &amp; c &lt;img src=x onerror=\u{301}x&gt; "))
        #expect(html.contains(" &quot;\u{301} &lt;\u{338}b&gt;"))
        let pieces = html.unicodeScalars.split(separator: "<", omittingEmptySubsequences: false)
        let tags = pieces.dropFirst().map { scalars in
            String(String.UnicodeScalarView(scalars.prefix { !" >".unicodeScalars.contains($0) }))
        }
        #expect(Set(tags) == ["!DOCTYPE", "html", "head", "meta", "/head", "body", "p", "br", "/p", "/body", "/html"])
    }

    /// A stranger who books under somebody's address must not make a link of ours.
    @Test func onlyOurOwnLinksAreLinks() throws {
        let html = try #require(
            try Sample.mail(
                Sample.notice("consultation_booked") {
                    $0.recipientName = "https://evil.example/now"
                    $0.facts.address = "https://evil.example/here"
                    $0.facts.cancelLink = "https://calendly.com/c?a=1&b=\"2\"\u{301}"
                }
            ).html)
        #expect(html.split(separator: "<a ").count == 3)
        #expect(
            html.contains(
                "<a href=\"https://calendly.com/reschedulings/abc\">https://calendly.com/reschedulings/abc</a>"))
        #expect(html.contains("<a href=\"https://calendly.com/c?a=1&amp;b=&quot;2&quot;\u{301}\">"))
    }

    @Test(arguments: ["http://calendly.com/c", "javascript:alert(1)", "data:text/html,x", "HTTPS://x", "/c"])
    func onlyHTTPSBecomesALink(_ link: String) throws {
        let notice = try Sample.notice("consultation_booked") {
            $0.facts.cancelLink = link
            $0.facts.rescheduleLink = nil
        }
        let html = try #require(try Sample.mail(notice).html)
        #expect(!html.contains("<a "))
        #expect(html.contains(link))
    }
}
