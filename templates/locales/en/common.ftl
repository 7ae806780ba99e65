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
