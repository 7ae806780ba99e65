ago-now = just now
ago-minutes = { $count ->
    [one] { $count } minute ago
   *[other] { $count } minutes ago
}
ago-hours = { $count ->
    [one] { $count } hour ago
   *[other] { $count } hours ago
}
ago-days = { $count ->
    [one] { $count } day ago
   *[other] { $count } days ago
}
lasting-now = less than a minute
lasting-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
lasting-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
lasting-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
size-bytes = { $count } B
size-kilobytes = { $count } kB
size-megabytes = { $count } MB
size-gigabytes = { $count } GB

shell-skip = Go to the content
shell-menu = Menu
shell-navigation = Main navigation
shell-side = Further information
shell-footer = About this site
shell-language = Language
shell-breadcrumb = You are here
shell-person-menu = Menu of { $name }
shell-sign-in = Sign in
shell-sign-out = Sign out
shell-banner = About this installation
shell-close = Close
shell-cancel = Cancel
shell-consent = Diagnostics in progress
shell-consent-stop = Stop now
shell-acting = You act for { $name }
shell-acting-nobody = You act for no organisation
theme-label = Appearance
theme-system = System
theme-light = Light
theme-dark = Dark
shortcuts-title = Keyboard shortcuts
shortcuts-move = Next, previous in the list
shortcuts-open = Open what is selected
shortcuts-palette = Find an action or a page
shortcuts-leave = Leave a field, close a window
shortcuts-on = Use single-key shortcuts
palette-label = Find an action or a page
palette-none = Nothing has this name.
pager-label = Pages
pager-newer = Previous
pager-older = Next
message-note = Internal note
message-agent = Support
message-quoted = Show the quoted text
meeting-told = A meeting
meeting-invitation = Invitation to a meeting
meeting-answer = Answer to an invitation
meeting-cancelled = Meeting cancelled
meeting-counter = Another time proposed for a meeting
meeting-when = When
meeting-from-to = { $start } – { $end }
meeting-days = { $first } – { $last }
meeting-local = { $start } (by the sender’s clock)
meeting-local-in = { $start } (by the sender’s clock: { $zone })
meeting-in-zone = { $time } ({ $zone })
meeting-more = More meetings
meeting-more-count = { $count } more; the attached file has them
meeting-repeats = Repeated
meeting-repeats-yes = Yes; the attached file says when
meeting-where = Where
meeting-organiser = Organiser
meeting-who-answers = Answer of
meeting-answers = Answers
meeting-source = Source
meeting-source-file = The file attached to this mail; nobody checked it
meeting-accepted = Accepted
meeting-tentative = Perhaps
meeting-declined = Declined
meeting-delegated = Somebody else will come
meeting-count-accepted = { $count ->
    [one] { $count } accepts
   *[other] { $count } accept
}
meeting-count-tentative = { $count } perhaps
meeting-count-declined = { $count ->
    [one] { $count } declines
   *[other] { $count } decline
}
meeting-count-open = { $count } without an answer
attachments-label = Attached files
form-mandatory = Fields marked * are mandatory.
form-errors = { $count ->
    [one] One thing needs correcting:
   *[other] { $count } things need correcting:
}
select-choose = Choose…
files-drop = or drop them here, or paste a screenshot
files-remove = Remove
status-waiting-for-us = Waiting for us
status-waiting-for-customer = Waiting for the customer
status-snoozed = Snoozed
status-closed = Closed
customer-status-waiting-for-us = We are on it
customer-status-waiting-for-customer = Your answer is awaited
customer-status-closed = Closed
priority-urgent = Urgent
priority-high = High
priority-low = Low
queue-support = Support
queue-sales = Sales
queue-general = General enquiries
queue-billing = Billing
queue-complaint = Complaints
queue-privacy = Personal data
queue-intervention = Interventions

nav-home = Home
nav-new-request = New request
nav-requests = My requests
nav-account = My account
nav-tickets = Tickets
nav-new-ticket = Enter a request
nav-planned-answers = Planned answers
nav-search = Search tickets
nav-people = People
nav-organisations = Organisations
nav-queues = Queues
nav-mailboxes = Mailboxes
nav-roles = Roles
nav-settings = Settings
nav-unprocessed-mail = Unprocessed mail
nav-outgoing-mail = Outgoing mail
nav-status = Status
nav-ledger = Ledger
nav-group-desk = Desk
nav-group-directory = Directory
nav-group-installation = Installation
demo-banner = Demonstration: camille.renaud@lumenor.example (support), alice.finch@harbour-finch.example (customer), helene.vasseur@lumenor.example (administration). The password for all: accord-demonstration. All mail stays in files.
save = Save
yes = yes
no = no
language-fr = French
language-en = English
list-first = Start of the list
list-next = More
list-nothing-found = Nothing matches
list-nothing-found-hint = Check the spelling, or remove a filter.
filter-label = Filters of the list
filter-all = All
filter-apply = Filter
filter-clear = Remove the filters
filter-name = Name begins with
filter-person = Name or address begins with
remove-sure = “{ $name }” will be deleted. This cannot be undone.
said-saved = Saved.
said-round-trip-sent = The test mail is on its way.
said-round-trip-under-way = A test mail of this mailbox is under way already.
said-round-trip-stays-here = Mail goes to files here and not out, so none comes back: set mail.smtp.host first.
said-removed = Deleted.
said-invited = The invitation is on its way by e-mail.
business-prospect = Prospect
business-customer = Customer
person-no-address = No e-mail address
business-operator = Our own company
business-former = Former customer
nav-development-mail = Development mail
