import Messaging
import NotificationWorker
import SchedulingWorker
import Settings
import SyncWorker
import WorkerRuntime

/// The handlers of this program for shadow runs, by role, with nothing behind them that leaves the database.
enum RehearsalHandlers {
    /// Those whose settings are here; an operator's terminal may lack those of the mail.
    static func make(_ settings: Settings) throws -> [String: any MessageHandler] {
        var handlers: [String: any MessageHandler] = [:]
        handlers["sync"] = SyncHandler(
            configuration: SyncConfiguration(
                siteTimeZone: try settings.siteTimeZone(), rescheduleWait: try settings.value(Keys.rescheduleWait)))
        handlers["scheduling"] = SchedulingHandler(companyClock: try settings.siteClock())
        if let composer = try? composer(settings) {
            handlers["notification"] = NotificationRehearsal(
                planner: NoticePlanner(officeEmail: try settings.officeAddress()), composer: composer)
        }
        return handlers
    }

    private static func composer(_ settings: Settings) throws -> MailComposer {
        MailComposer(
            templates: try MailTemplates(officePhone: settings.value(Keys.officePhone)),
            from: try MailAddress.read(settings.value(Keys.mailFrom), key: Keys.mailFrom.name),
            replyTo: try settings.optional(Keys.mailReplyTo).map {
                try MailAddress.read($0, key: Keys.mailReplyTo.name)
            })
    }
}
