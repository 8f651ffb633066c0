"""Phrases of the topic pets; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: at five in the morning | during my video call | on the new sofa | for a single treat | while nobody is watching
    | on moving day | with the neighbour's dog | after the vet visit
lengths: 8 40

# dogs
things: a puppy's very first staircase | the sock thief of our house | a greyhound in pyjamas | one tired old labrador
acts: teaching my dog to close doors | introducing a puppy to snow | bathing a very muddy terrier | hiding behind the curtain from my dog
tips: reward the calm moments | let the puppy come to you | practise the recall in the garden
es: enseñar a mi perro a dar la pata
de: dem Welpen das Warten beibringen
fr: apprendre à mon chien à attendre
pt: ensinar meu cachorro a dar a pata

# cats
things: a cat who hates Mondays | the box that beat the expensive cat tree | three kittens and one laptop | a suspicious cucumber
acts: negotiating with a hungry cat | building a castle out of boxes for the cat | brushing a fluffy cat
    | losing a staring contest to my cat
tips: blink slowly at a nervous cat | put the litter box in a quiet corner | play before the evening meal
es: convencer a la gata de bajar del armario
de: die Katze vom Schrank locken
fr: faire descendre le chat de l'armoire
pt: convencer o gato a descer do armário

# parrots
things: a parrot with excellent timing | the budgie's morning concert | a cockatiel in the shower | a bird that imitates my ringtone
acts: whistling duets with my cockatiel | teaching a parrot its first colour | arguing with a parrot about grapes
    | weighing a budgie on kitchen scales
tips: offer new food three times | cover the cage at the same hour | hide seeds in paper rolls
es: enseñar palabras nuevas al loro
de: dem Papagei neue Wörter beibringen
fr: apprendre une chanson au perroquet
pt: ensinar o papagaio a assobiar

# aquarium
things: a shrimp tank on my desk | the shyest catfish in the world | a planted tank after one year | snails on night patrol
acts: feeding axolotls with tweezers | moving forty fish to a new tank | trimming plants under water | watching a betta build bubbles
tips: cycle the tank before adding fish | change a little water every week | dim the lights for shy fish
es: montar un acuario plantado
de: ein bepflanztes Aquarium einrichten
fr: installer un aquarium planté
pt: montar um aquário plantado

# rescue
things: a shelter dog's first night home | the hedgehog from our garage | one-eyed kitten, big attitude | a donkey who finally trusts us
acts: bottle-feeding four tiny kittens | winning over a scared rescue dog | driving a tortoise to its new home
    | saying goodbye to a foster puppy
tips: give a rescue dog three quiet weeks | call a shelter before buying | sit on the floor and wait
es: adoptar un perro mayor
de: einen alten Hund adoptieren
fr: adopter un vieux chien
pt: adotar um cão idoso
"""
