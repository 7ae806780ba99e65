# Consentement au diagnostic : ce que le client lit, ce que l’agent demande.

nav-consents = Accords
panel-consents = Diagnostic
consents-title = Accords
consents-sub = Ce que vous avez autorisé, refusé ou arrêté, avec les reçus.
consents-none = Aucune demande d’accord
consents-none-hint = Quand un agent aura besoin de regarder comment le logiciel fonctionne pour vous, il vous le demandera ici.
consents-request = Demande
consents-state = État
consents-asked = Posée le
consent-title = Demande d’accord
consent-title-of = Diagnostic pour la demande { $reference }

consent-component-pages = pages et interface de programmation
consent-component-tickets = demandes et recherche
consent-component-mail = courriels reçus et envoyés
consent-component-database = requêtes à la base de données (sans leurs valeurs)
consent-component-background = travaux d’arrière-plan
consent-component-products = nos logiciels installés chez vous (OpenTelemetry)
consent-level-error = erreurs seulement
consent-level-warn = erreurs et avertissements
consent-level-info = étapes principales
consent-level-debug = détail de diagnostic
consent-level-trace = détail le plus fin
consent-purpose-fault = recherche d’une panne
consent-purpose-performance = recherche d’une lenteur
consent-purpose-usage = compréhension d’un usage
consent-subject-person = { $name }, pour son propre usage seulement
consent-subject-organisation = toutes les personnes de { $name }
consent-subject-own = votre usage personnel, ou celui de la personne nommée
consent-subject-whole = toute l’organisation
consent-basis-consent = En droit, votre réponse est un consentement (RGPD, article 6, paragraphe 1, point a), que vous pouvez retirer à tout moment aussi simplement que vous l’avez donné.
consent-basis-instruction = En droit, votre réponse est une instruction documentée de votre organisation à son sous-traitant (RGPD, article 28, paragraphe 3, point a), que vous pouvez révoquer à tout moment. Chaque personne concernée voit un bandeau tant que l’enregistrement dure.
consent-exports-allowed = Les agents pourront télécharger ce qui est enregistré.
consent-exports-refused = Les agents ne pourront pas le télécharger.
consent-exports-yes = téléchargement permis
consent-exports-no = à l’écran seulement
consent-days =
    { $count ->
        [one] { $count } jour
       *[other] { $count } jours
    }
consent-hours =
    { $count ->
        [one] { $count } heure
       *[other] { $count } heures
    }
consent-minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
consent-stops-always = L’enregistrement s’arrête plus tôt si la demande est close ou si plus aucun agent ne s’en occupe.
consent-stops-when-seen = Il s’arrête aussi dès que « { $text } » apparaît.
consent-stops-unread = Il s’arrête aussi si personne ne le regarde pendant { $duration }.
consent-recipients-queue = les agents de la file « { $queue } »
consent-recipients-agent = { $name }, et personne d’autre
consent-place-unsaid = pays indiqué par l’exploitant sur demande

consent-fact-purpose = Pourquoi
consent-fact-components = Ce qui est enregistré
consent-fact-level = Finesse
consent-fact-subject = Qui est concerné
consent-fact-duration = Durée
consent-fact-retention = Conservation après la fin
consent-fact-recipients = Qui peut le lire
consent-fact-exports = Téléchargement par les agents
consent-fact-granted = Accordé le
consent-fact-until = Jusqu’au
consent-fact-destruction = Destruction
consent-destruction-under-way = En cours. L’attestation sera donnée dès qu’il n’en restera rien de lisible dans les fichiers.
consent-fact-kept-until = Données gardées jusqu’au
consent-fact-destroyed = Données détruites le

consent-state-requested = Attend une réponse
consent-state-awaiting-second = Attend un second accord
consent-state-active = Enregistrement en cours
consent-state-waits = Accordé, pas encore commencé
consent-state-withdrawn = Retiré
consent-state-stopped = Arrêté
consent-state-expired = Terminé
consent-state-destroyed = Données détruites
consent-state-refused = Refusé
consent-state-lapsed = Resté sans réponse
consent-state-cancelled = Annulé par l’agent

event-consent-requested = { $who } a demandé un accord pour un diagnostic
event-consent-approved = { $who } a donné un premier accord ; un second est attendu
event-consent-granted = { $who } a donné son accord pour un diagnostic
event-consent-granted-less = { $who } a donné un accord plus restreint
event-consent-refused = { $who } a refusé le diagnostic
event-consent-lapsed = La demande d’accord est restée sans réponse et s’est annulée
event-consent-cancelled = La demande d’accord a été annulée
event-consent-withdrawn = { $who } a retiré l’accord ; l’enregistrement est arrêté
event-consent-expired = Le diagnostic est arrivé à son terme ; l’enregistrement est arrêté
event-consent-stopped = { $who } a arrêté le diagnostic
event-consent-stopped-closed = Le diagnostic s’est arrêté : la demande est close
event-consent-stopped-unassigned = Le diagnostic s’est arrêté : plus aucun agent ne s’occupe de la demande
event-consent-stopped-reproduced = Le diagnostic s’est arrêté : ce qui était cherché est apparu
event-consent-stopped-unread = Le diagnostic s’est arrêté : personne ne le regardait
event-consent-stopped-membership = Le diagnostic s’est arrêté : la personne qui l’avait accordé n’en a plus le droit
event-consent-stopped-clock = Le diagnostic s’est arrêté : l’heure du serveur n’était plus sûre
event-traces-destroyed = Les données du diagnostic ont été détruites

consent-left = encore { $left }
consent-banner-own = Votre usage est enregistré pour un diagnostic (encore { $left })
consent-banner-whole = L’usage de votre organisation est enregistré pour un diagnostic (encore { $left })
consent-banner-own-waits = Un diagnostic de votre usage est accordé ; rien n’est encore enregistré (encore { $left })
consent-banner-whole-waits = Un diagnostic de l’usage de votre organisation est accordé ; rien n’est encore enregistré (encore { $left })
consent-keep = Garder ce qui a déjà été enregistré jusqu’à la date prévue
consent-keep-hint = Sans cette coche, tout est détruit aussitôt.
consent-running-other = Une personne de votre organisation qui en a le droit l’a accordé et peut l’arrêter.
consent-waits-for-other = Vous avez donné votre accord. Une seconde personne de votre organisation doit le confirmer ; rien n’est enregistré d’ici là.
consent-waits-for-capacity = Accordé, mais rien n’est encore enregistré : le nombre maximal d’enregistrements simultanés est atteint. Celui-ci commencera de lui-même dès qu’un autre prendra fin ; son heure de fin ne change pas.
consent-destroy-title = Détruire maintenant
consent-destroy-hint = Ce qui a été enregistré est détruit sans retour, et vous recevez une attestation.
consent-destroy = Détruire les données
consent-destroy-sure = Ce qui a été enregistré est détruit sans retour : ni vous ni nous ne pourrons plus le lire. Vous recevez une attestation.
consent-question-title = La question
consent-open-until = Sans réponse, elle s’annule le
consent-answer-title = Votre réponse
consent-answer-hint = Les trois réponses se valent. Refuser ne change rien au traitement de votre demande.
consent-second-text = Une première personne de votre organisation a donné son accord dans ces termes. Vous pouvez le confirmer ou refuser.
consent-needs-two = Toute l’organisation au détail le plus fin : une seconde personne de votre organisation devra confirmer.
consent-only-own-use = Vous pouvez accorder un enregistrement de votre propre usage. Pour toute l’organisation, il faut le droit « accorder le diagnostic ».
consent-grant = Accorder
consent-grant-less = Accorder moins
consent-refuse = Refuser
consent-less-title = Accorder moins
consent-less-hint = Cochez ce que vous accordez ; le reste ne sera pas enregistré.
consent-own-use = Pour mon propre usage seulement
consent-own-use-hint = Personne d’autre de l’organisation n’est enregistré.
consent-exports-choice = Permettre aux agents de télécharger ce qui est enregistré
consent-want-second = Demander aussi l’accord d’une seconde personne de l’organisation
consent-want-second-hint = Rien n’est enregistré avant sa réponse.
consent-facts-title = Les termes
consent-manifest-title = Tous les champs qui peuvent être enregistrés
consent-manifest-hint = Empreinte { $sha256 }
consent-manifest-show = Voir la liste
consent-steps-title = Ce qui s’est passé
consent-steps-hint = Chaque étape est enchaînée à la précédente ; rien ne peut y être changé sans que cela se voie.
consent-text-title = Le texte qui a été lu
consent-read-and-answer = Lire et répondre
consent-see = Voir le détail

receipt-title = Reçu
receipt-open = Voir le reçu
receipt-download = Télécharger le reçu (JSON-LD)
receipt-signed-title = Reçu signé
receipt-signed-hint = Gardez-le : il se vérifie sans nous, avec « accord verify ».
receipt-number = Numéro
receipt-key = Clé publique
certificate-title = Attestation de destruction
certificate-download = Télécharger l’attestation
certificate-at = Détruit le
certificate-records = Enregistrements
certificate-bytes = Octets
certificate-key = Clé détruite
evidence-download = Télécharger le dossier de preuve
stop-link-title = Arrêter le diagnostic
stop-link-lead = Pour la demande { $reference }. Aucune connexion n’est nécessaire, aucune raison n’est demandée.

consent-ask-title = Demander un diagnostic
consent-ask-sub = Rien n’est enregistré avant l’accord du client. Il peut accorder moins, refuser, arrêter.
consent-ask-purpose = Pourquoi, dans les mots du client
consent-ask-purpose-hint = Le client le lit tel quel, et son accord ne vaut que pour cela.
consent-ask-purpose-kind = Nature de la recherche
consent-ask-person = { $name }, pour son propre usage
consent-ask-organisation = Toute l’organisation { $name }
consent-ask-subject-hint = Demandez le moins qui suffise.
consent-ask-attributes = Attributs supplémentaires de nos logiciels
consent-ask-attributes-hint = Noms séparés par des virgules ; seuls les noms listés sont gardés.
consent-ask-level-hint = Toute l’organisation au détail le plus fin demande deux accords.
consent-ask-exports = Permettre le téléchargement par les agents
consent-ask-exports-hint = Le client peut accorder sans le permettre.
consent-ask-stop = S’arrêter dès que ce texte apparaît
consent-ask-stop-hint = Facultatif : un message d’erreur, par exemple.
consent-ask-idle = S’arrêter si personne ne regarde pendant
consent-ask-idle-never = sans cette limite
consent-ask-preview = Voir ce que le client lira
consent-ask-send = Poser la question
consent-preview-title = Ce que le client lira
consent-preview-hint = Dans la langue de la demande : { $language }.
consent-estimate-none = Aucun diagnostic antérieur : le volume ne peut pas être estimé.
consent-estimate-own = Environ { $records } enregistrements par heure, d’après les diagnostics antérieurs de ce client.
consent-estimate-others = Environ { $records } enregistrements par heure, d’après les diagnostics d’autres clients.
consent-agent-stop = Je n’en ai plus besoin : arrêter
consent-agent-waits = Le client n’a pas encore répondu. La question s’annule le
consent-agent-cancel = Annuler la question
consent-language-fr = français
consent-language-en = anglais

error-consent-components = Choisissez au moins un élément.
error-consent-attributes = Des noms de lettres, chiffres, points, tirets ; 40 au plus.
error-consent-duration = De 5 minutes à 24 heures.
error-consent-retention = De 1 à 30 jours.
error-consent-subject = Cette personne n’est pas de l’organisation de la demande.
error-consent-subject-disabled = Le compte de cette personne est désactivé : elle ne peut pas répondre.
error-consent-more = Plus que ce qui est demandé ne peut pas être accordé.
error-consent-level = Choisissez la finesse.
conflict-consent-ticket-closed = La demande est close, ou plus aucun agent ne s’en occupe : il n’y a rien à enregistrer.
conflict-consent-decided = Une réponse a déjà été donnée.
conflict-consent-lapsed = La question est restée trop longtemps sans réponse et s’est annulée.
conflict-consent-wording = Le texte a changé depuis l’ouverture de la page. Relisez-le avant de répondre ; rien n’a été accordé.
conflict-consent-running = Un autre diagnostic est en cours. Cette question reste posée ; répondez-y quand il sera terminé.
conflict-consent-no-second = Il faut l’accord de deux personnes, et vous êtes la seule de l’organisation à en avoir le droit. Vous pouvez accorder moins.
conflict-consent-first-gone = La personne qui avait donné le premier accord n’en a plus le droit.
conflict-consent-still-running = Arrêtez d’abord l’enregistrement.
conflict-ticket-has-consents = Un accord a été demandé dans ce ticket : il reste à l’organisation qui y a répondu. Ouvrez un autre ticket.

said-consent-asked = La question est posée au client.
said-consent-cancelled = La question est annulée.
said-consent-stopped = Le diagnostic est arrêté.
said-consent-granted = Votre accord est enregistré. Vous pouvez l’arrêter à tout moment ; le reçu vous est envoyé.
said-consent-approved = Votre accord est enregistré ; rien ne commence avant le second.
said-consent-refused = Votre refus est enregistré. Votre demande suit son cours.
said-consent-withdrawn = L’enregistrement est arrêté.
said-consent-destruction = Les données sont en cours de destruction ; l’attestation vous sera envoyée.

mail-consent-asked-subject = [{ $reference }] { $operator } vous demande votre accord
mail-consent-asked = Pour traiter la demande { $reference }, un agent voudrait observer le fonctionnement du logiciel. Rien n’est enregistré sans votre accord. Voici la question ; elle n’attend une réponse que sur la page, après connexion.
mail-consent-second-subject = [{ $reference }] un second accord est attendu
mail-consent-second = Pour la demande { $reference }, une personne de votre organisation a donné un premier accord. Le vôtre est nécessaire ; sans lui, rien n’est enregistré.
mail-consent-link-question = Lire et répondre (connexion demandée) :
mail-consent-question-caution = Répondre à ce courriel n’accorde rien. Refuser, ou ne rien faire, ne change rien au traitement de votre demande.
mail-consent-granted-subject = [{ $reference }] votre accord et son reçu
mail-consent-granted = Votre accord pour la demande { $reference } est enregistré. Le reçu signé est joint.
mail-consent-link-stop = Arrêter à tout moment, sans connexion :
mail-consent-link-receipt = Le reçu :
mail-consent-link-page = Le détail, dans votre compte :
mail-consent-caution = Ce courriel vous est adressé parce que vous avez répondu à une demande d’accord, ou qu’elle vous était posée.
mail-consent-ended-subject = [{ $reference }] l’enregistrement est arrêté
mail-consent-withdrawn = L’accord pour la demande { $reference } a été retiré. Plus rien n’est enregistré.
mail-consent-expired = L’accord pour la demande { $reference } est arrivé à son terme. Plus rien n’est enregistré.
mail-consent-stopped = Le diagnostic pour la demande { $reference } s’est arrêté avant son terme. Plus rien n’est enregistré.
mail-consent-closed-subject = [{ $reference }] la demande d’accord est sans objet
mail-consent-lapsed = La demande d’accord pour { $reference } est restée sans réponse et s’est annulée. Rien n’a été enregistré.
mail-consent-cancelled = La demande d’accord pour { $reference } a été annulée. Rien n’a été enregistré et vous n’avez rien à faire.
mail-consent-destroyed-subject = [{ $reference }] les données du diagnostic sont détruites
mail-consent-destroyed = Ce qui avait été enregistré pour la demande { $reference } est détruit. L’attestation signée est jointe.
mail-agent-consent-granted = { $who } a donné son accord pour un diagnostic ({ $reference }).
mail-agent-consent-refused = { $who } a refusé le diagnostic ({ $reference }). La demande se traite sans.
mail-agent-consent-lapsed = La demande d’accord de { $reference } est restée sans réponse ({ $who }).
mail-agent-consent-withdrawn = { $who } a retiré l’accord ({ $reference }). L’enregistrement est arrêté.
mail-agent-consent-expired = Le diagnostic de { $reference } est arrivé à son terme ({ $who }).
mail-agent-consent-stopped = Le diagnostic de { $reference } est arrêté ({ $who }).

diagnostics-title = Ce qui a été enregistré
diagnostics-link = Voir ce qui a été enregistré, et qui l’a lu
diagnostics-gone = Il n’y a plus rien à lire : ce qui avait été enregistré est détruit ou sur le point de l’être.
diagnostics-not-yours = L’accord ne vous nomme pas parmi ceux qui peuvent lire.
diagnostics-read-title = Lire
diagnostics-read-hint = Chaque lecture est inscrite ci-dessous avant que quoi que ce soit ne s’affiche, et le client la voit.
diagnostics-text = Contient
diagnostics-level = Finesse
diagnostics-level-any = Toutes
diagnostics-reason = Motif
diagnostics-reason-hint = Sans motif, la référence de la demande est inscrite.
diagnostics-read = Lire
diagnostics-more = Lire la suite
diagnostics-records-title = Enregistrements
diagnostics-none = Aucun enregistrement ne correspond.
diagnostics-at = Quand
diagnostics-what = Quoi
diagnostics-who = Qui
diagnostics-gap = manque
diagnostics-gap-records =
    { $count ->
        [one] { $count } enregistrement perdu
       *[other] { $count } enregistrements perdus
    }
diagnostics-gap-full = La file était pleine.
diagnostics-gap-budget = La quantité permise par seconde était atteinte.
diagnostics-gap-fault = Ils n’ont pas pu être conservés.
diagnostics-note-masked = { $field } : masqué ({ $rule })
diagnostics-note-left-out =
    { $count ->
        [one] { $count } champ non prévu par l’accord, écarté
       *[other] { $count } champs non prévus par l’accord, écartés
    }
diagnostics-note-cut = Coupé : trop long
diagnostics-counters-title = Combien
diagnostics-counters-hint = Ce qui a été conservé, ce qui ne l’a pas été, et ce qui a été masqué.
diagnostics-captured = Conservés
diagnostics-dropped-full = Perdus, file pleine
diagnostics-dropped-budget = Perdus, quantité par seconde dépassée
diagnostics-out-of-scope = Refusés, hors de l’accord
diagnostics-late = Refusés, trop tard
diagnostics-masked = Masqués : { $rule }
diagnostics-rule-unlisted = champ que l’accord ne prévoit pas
diagnostics-rule-name = champ dont le nom annonce un secret
diagnostics-rule-private-key = clé privée
diagnostics-rule-login = identifiants dans une adresse
diagnostics-rule-secret = secret écrit dans un texte
diagnostics-rule-jwt = jeton signé (JWT)
diagnostics-rule-bearer = jeton d’accès
diagnostics-rule-token = jeton d’un service
diagnostics-rule-sql = valeur d’une requête SQL
diagnostics-rule-query = valeur dans une adresse web
diagnostics-rule-email = adresse électronique
diagnostics-rule-iban = IBAN
diagnostics-rule-card = numéro de carte
diagnostics-rule-random = suite aléatoire
diagnostics-rule-length = texte trop long
diagnostics-readings-title = Qui a lu
diagnostics-readings-hint = Rien ne peut en être retiré.
diagnostics-readings-none = Personne n’a encore lu.
diagnostics-reading-records =
    { $count ->
        [one] { $count } enregistrement
       *[other] { $count } enregistrements
    }
diagnostics-reading-text = contenant « { $text } »
diagnostics-component = Partie
diagnostics-component-any = Toutes
diagnostics-add-up = Additionner les durées
diagnostics-unfold = Tout déplier ou replier
diagnostics-newer = Voir ce qui est nouveau
diagnostics-live-title = Suivre en direct
diagnostics-live-hint = Les enregistrements paraissent à mesure. La pause arrête la lecture, non l’enregistrement.
diagnostics-watch = Suivre en direct
diagnostics-pause = Pause
diagnostics-watching = Lecture en cours, elle est inscrite.
diagnostics-paused = En pause : rien n’est lu.
diagnostics-over = L’enregistrement est terminé.
diagnostics-searching = Votre recherche précédente n’est pas finie. Patientez un instant, puis cherchez de nouveau.
diagnostics-reading-whole = Deux lectures complètes sont déjà en cours pour vous. Attendez que l’une soit finie, puis réessayez.
diagnostics-watching-enough = Vous suivez déjà autant de pages qu’il est possible en même temps. Fermez-en une, puis réessayez.
diagnostics-records-hint = Par trace, dans l’ordre des faits. La partie pleine d’une barre est le temps propre de l’étape.
diagnostics-trace-events = Événements
diagnostics-trace-records =
    { $count ->
        [one] { $count } enregistrement
       *[other] { $count } enregistrements
    }
diagnostics-trace-errors =
    { $count ->
        [one] { $count } erreur
       *[other] { $count } erreurs
    }
diagnostics-own-time = en propre { $time }
diagnostics-admitted = admis par : { $component }
diagnostics-gap-until = jusqu’à { $until }
diagnostics-flame-title = Où le temps est passé
diagnostics-flame-hint = Toutes les étapes de cet accord, additionnées selon ce qui les contenait. Plus large, plus long ; en rouge, il y a eu des erreurs.
diagnostics-flame-drawing = Dessin du tableau ci-dessous
diagnostics-flame-table = Durées par pile
diagnostics-flame-spans =
    { $count ->
        [0] Aucune étape n’a été enregistrée.
        [one] { $count } étape additionnée.
       *[other] { $count } étapes additionnées.
    }
diagnostics-flame-times =
    { $count ->
        [one] { $count } fois
       *[other] { $count } fois
    }
diagnostics-flame-left-out =
    { $count ->
        [one] { $count } pile plus étroite n’est pas listée.
       *[other] { $count } piles plus étroites ne sont pas listées.
    }
diagnostics-flame-stack = Étape, et ce qui la contient
diagnostics-flame-share = Part
diagnostics-flame-count = Combien de fois
diagnostics-flame-total = En tout
diagnostics-flame-own = En propre
diagnostics-flame-errors = Erreurs
diagnostics-export-title = Emporter
diagnostics-export-hint = Chaque fichier nomme cet accord, et l’emporter est inscrit comme une lecture de tout.
diagnostics-export-no = L’accord ne permet pas que les enregistrements quittent Accord.
diagnostics-export-folded = Piles repliées
diagnostics-side-staff = support
diagnostics-side-customer = client
diagnostics-now = suit en ce moment
diagnostics-did-view = a lu
diagnostics-did-search = a cherché
diagnostics-did-watch = a suivi en direct
diagnostics-did-ask = a lu par programme
diagnostics-did-add-up = a additionné
diagnostics-did-take-otlp = a emporté en OTLP
diagnostics-did-take-chrome = a emporté en trace Chrome
diagnostics-did-take-folded = a emporté en piles repliées
diagnostics-did-take-csv = a emporté en CSV
readings-title = Qui a regardé ce qui me concerne
readings-sub = Chaque lecture de ce qui a été enregistré de votre usage, quel que soit l’auteur de l’accord et le lecteur.
readings-link = Qui a regardé
readings-none = Personne n’a rien regardé qui vous concerne
readings-none-hint = Dès que quelqu’un lit ce qui a été enregistré avec un accord, cela figure ici, avec le nom, l’heure et le motif.
readings-open = Ce qui a été enregistré pour { $reference }

# Les produits qui envoient sous un accord

grant-token-title = Laisser vos produits envoyer
grant-token-offer = Votre accord couvre aussi des produits en dehors de ce guichet. Ils envoient ce qu’ils font avec un jeton, aussi longtemps que dure l’accord et pas au-delà.
grant-token-make = Créer un jeton
grant-token-secret = Jeton
grant-token-hint = Qui le possède peut envoyer des diagnostics en votre nom jusqu’à la fin de l’accord, et ne peut rien faire ni lire d’autre.
grant-token-until = Valable jusqu’au
grant-token-organisation = Organisation, si les produits en nomment une
grant-token-user = Utilisateur, sur chaque requête
grant-token-user-hint = Votre accord ne couvre que votre propre usage : les produits doivent dire de qui est chaque requête, par user.id (ce nom ou votre adresse électronique) ou par user.hash (son SHA-256). Ce qui ne le dit pas est refusé.
grant-token-once = Il n’est montré que cette fois : nous n’en gardons rien. Quand vous arrêtez le diagnostic, il ne vaut plus rien.
grant-token-lines = À coller tel quel
grant-token-lines-hint = Là où le produit est lancé. Son SDK OpenTelemetry n’a besoin de rien d’autre.
grant-token-kept = C’est fait
conflict-no-products-granted = Il n’y a rien à envoyer pour des produits : l’accord est terminé ou ne les couvre pas.
sampling-hint = Avec une telle clé, vos produits demandent s’ils doivent enregistrer quoi que ce soit. La réponse n’est oui que tant qu’un diagnostic des produits est accordé.
sampling-make = Créer une clé
sampling-empty = Aucune clé
sampling-empty-hint = Sans clé, les produits enregistrent ce pour quoi ils sont réglés, et ce qui n’est pas accordé est refusé ici.
sampling-name = Clé
sampling-made = Créée le
sampling-made-title = Votre nouvelle clé d’échantillonnage
sampling-made-hint = Elle fait partie de l’adresse que l’échantillonneur interroge, toutes les quelques secondes.
sampling-address = Adresse à interroger
sampling-once = Elle n’est montrée que cette fois : nous n’en gardons que l’empreinte.
conflict-too-many-sampling-keys = Une organisation peut avoir { $most } clés. Révoquez-en une qui ne sert plus.
