"""Phrases of the topic dance; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in socks | at the bus stop | with my grandad | in eight counts | on a wet rooftop | before the curtain rises
    | with two left feet | after one single class
lengths: 10 45

# salsa
things: a cross-body lead for beginners | the spin that made me dizzy | a salsa basic on the kitchen floor | shines for shy dancers
acts: dancing salsa with a broom | counting on two instead of one | leading a turn without pulling | joining a rueda of strangers
tips: step small when the music is fast | keep your elbows soft in turns | listen for the cowbell
es: bailar salsa en pareja
de: Salsa im Wohnzimmer tanzen
fr: danser la salsa à deux
pt: dançar salsa a dois

# street dance
things: a six-step on cardboard | the freeze that took a year | a popping drill in slow motion | our crew's car park battle
acts: learning the windmill on grass | isolating the chest like a robot | freestyling to a washing machine | locking with my twin brother
tips: drill the footwork without music | land the freeze on your forearm | film your rounds from the front
es: practicar pasos de breakdance
de: Breakdance auf Pappe üben
fr: travailler ses pas de hip-hop
pt: treinar passos de dança de rua

# ballet
things: a pirouette from fifth position | adult ballet, lesson one | pointe shoes sewn at midnight | the barre on my balcony
acts: starting ballet at thirty-eight | holding an arabesque on a train platform | breaking in new pointe shoes
    | stretching my feet with a towel
tips: spot a mark on the wall | lift out of the standing hip | close your ribs before you jump
es: aprender ballet siendo adulta
de: als Erwachsene Ballett lernen
fr: apprendre la danse classique à trente ans
pt: aprender balé depois dos trinta

# ballroom
things: a slow waltz in running shoes | the tango head snap | a foxtrot around the sofa | quickstep at double tempo
acts: practising the waltz in a supermarket aisle | dancing a tango with my physiotherapist | gliding through a foxtrot
    | learning the quickstep from my grandmother
tips: keep your frame through the turn | step from the hip, not the knee | look over your partner's shoulder
es: bailar un vals sin pisar a nadie
de: ohne Fußtritte Walzer tanzen
fr: danser la valse sans faux pas
pt: dançar valsa sem pisar no par

# wedding dance
things: a first dance learnt in a week | the flash mob at table nine | a father and daughter routine | a surprise dance by the bridesmaids
acts: rehearsing our first dance in a garage | teaching forty guests one chorus | dipping the bride without falling
    | choreographing a wedding entrance
tips: rehearse in the wedding shoes | choose a song you can walk to | save the big move for the end
es: ensayar el primer baile de la boda
de: den Hochzeitstanz einüben
fr: répéter la première danse du mariage
pt: ensaiar a primeira dança do casamento
"""
