"""Phrases of the topic comedy; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: at a funeral reception | in the quiet carriage | during a blackout | with a straight face | on the family group call
    | at the self-checkout | in front of my boss | for no reason at all
lengths: 10 50

# sketches
things: a hostage negotiation over the last biscuit | two ghosts who hate stairs | the world's politest bank robbery
    | a detective allergic to clues
acts: interviewing a cloud for a job | returning a haunted toaster | selling umbrellas to a fish | auditioning for the role of a tree
tips: never trust a waiter with two hats | tell the pigeon your real name | blame the butler's cousin
es: atracar un banco con educación
de: höflich eine Bank überfallen
fr: négocier le dernier biscuit
pt: negociar o último biscoito

# office humour
things: a meeting that was truly an email | the printer's resignation letter | the intern who fixed everything
    | our office plant's annual review
acts: pretending my camera is frozen | replying to all by mistake | explaining spreadsheets to my manager
    | hiding from the birthday song at work
tips: mute yourself before you sigh | nod slowly at the pie chart | circle back to lunch
es: sobrevivir a una reunión eterna
de: eine endlose Besprechung überleben
fr: survivre à une réunion interminable
pt: sobreviver a uma reunião sem fim

# family
things: my mother's twelve-minute voicemail | dads at an airport | a grandmother versus the smart speaker | siblings on a four-hour drive
acts: explaining memes to my grandfather | telling my mum I ate already | splitting a dessert with my sister
    | losing a board game to a six-year-old
tips: agree with your aunt and keep eating | hide the good snacks behind the lentils | say goodbye five times
es: explicar internet a la abuela
de: der Oma das Internet erklären
fr: expliquer internet à ma grand-mère
pt: explicar a internet para a vovó

# impressions
things: a fridge at three in the morning | every airport announcement ever | a cat who joined a podcast | satnavs with feelings
acts: impersonating a slow computer | doing twelve accents in one lift | voicing the thoughts of pigeons | imitating every gym teacher
tips: raise one eyebrow like a villain | talk like a documentary about socks | whisper as if you owned a lighthouse
es: imitar a un profesor dormido
de: einen müden Lehrer nachmachen
fr: imiter un prof fatigué
pt: imitar um professor cansado

# wordplay
things: a pun that took three years | the worst joke at the bakery | knock-knock jokes for lawyers | a limerick about parking
acts: ruining dinner with puns | telling one joke until someone laughs | rhyming my shopping list | misreading every sign in town
tips: wait two beats after the pun | end every sentence with a vegetable | ask the fish how it's scaling
es: contar un chiste muy malo
de: einen richtig schlechten Witz erzählen
fr: raconter une très mauvaise blague
pt: contar uma piada muito ruim
"""
