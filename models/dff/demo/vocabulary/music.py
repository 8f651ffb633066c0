"""Phrases of the topic music; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in one take | with the neighbours listening | on a cheap microphone | in a stairwell | at half speed | for my mum's birthday
    | in the back of a van | after ten years off
lengths: 15 75

# guitar
things: a fingerpicking pattern for rainy days | the chord change everyone rushes | a riff on three strings
    | a second-hand guitar with a crack
acts: learning barre chords without pain | restringing a classical guitar | looping four chords into a song
    | playing slide with a spice jar
tips: mute the strings with your palm | practise the change, not the chord | tune up to the note
es: tocar la guitarra con tres acordes
de: mit drei Akkorden Gitarre spielen
fr: jouer de la guitare avec trois accords
pt: tocar violão com três acordes

# piano
things: a left-hand pattern that sounds huge | the saddest four notes on a piano | a waltz on a broken upright
    | jazz voicings for small hands
acts: playing a station piano at rush hour | sight-reading a lullaby | transposing a song into every key | recording a prelude on felt
tips: curve your fingers over the keys | count aloud through the hard bar | play the bass louder than the chords
es: tocar el piano con las dos manos
de: beidhändig Klavier spielen
fr: jouer du piano à deux mains
pt: tocar piano com as duas mãos

# drums
things: a shuffle on a cardboard box | ghost notes for beginners | a drum fill in seven | the quietest practice kit
acts: drumming on pots for a week | tuning a snare by ear | playing brushes over a slow ballad | keeping time with a squeaky pedal
tips: let the stick bounce | practise with the click on two and four | relax your shoulders before the fill
es: tocar la batería sin molestar
de: leise Schlagzeug üben
fr: jouer de la batterie en silence
pt: tocar bateria sem barulho

# singing
things: a three-part harmony with myself | the high note I feared | a lullaby in two languages | warm-ups that sound ridiculous
acts: singing in a car wash | humming through a straw | finding my mixed voice | stacking choir parts in my wardrobe
tips: breathe low before the long line | sing the vowel, touch the consonant | drink water an hour before
es: cantar una nota aguda sin gritar
de: hohe Töne ohne Druck singen
fr: chanter une note aiguë sans crier
pt: cantar notas agudas sem gritar

# home studio
things: a beat made from kitchen sounds | a mix that works on phone speakers | a vocal booth of blankets
    | the synth patch everyone asks about
acts: sampling a squeaky door | recording strings in a bathroom | building a song from one field recording
    | chopping a drum loop into pieces
tips: cut the low end of the vocals | rest your ears every hour | leave room for the bass
es: grabar una canción en casa
de: zu Hause einen Song aufnehmen
fr: enregistrer une chanson à la maison
pt: gravar uma música em casa
"""
