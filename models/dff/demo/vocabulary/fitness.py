"""Phrases of the topic fitness; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: with zero motivation | before work | after two kids | in my living room | at sixty-three | on a rest day that wasn't
    | without any equipment | in week four
lengths: 15 60

# running
things: my slowest five kilometres yet | a hill that breaks everyone | the last mile of a first marathon
    | intervals for people who hate intervals
acts: running in the rain at dawn | pacing a friend to her first ten k | learning to jog slowly | training for a half marathon
tips: run slow enough to chat | shorten your stride on the hills | tie your laces with a heel lock
es: correr diez kilómetros sin parar
de: zehn Kilometer ohne Pause laufen
fr: courir dix kilomètres sans pause
pt: correr dez quilômetros sem parar

# strength
things: a deadlift with better hips | the push-up everyone cheats on | a pull-up after six months | squats for stiff ankles
acts: chasing my first clean pull-up | carrying kettlebells around the block | filming every squat for a year | fixing my bench press grip
tips: brace before you lift | pause at the bottom of the squat | add weight in tiny steps
es: hacer la primera dominada
de: den ersten Klimmzug schaffen
fr: réussir une première traction
pt: fazer a primeira barra fixa

# yoga
things: a crow pose that actually holds | ten breaths for a bad day | sun salutations in a small room | the pose my teacher loves most
acts: wobbling through tree pose | stretching hamstrings with a belt | practising handstands against a wall
    | breathing through pigeon pose
tips: press the floor away from you | soften your jaw in every pose | bend your knees in downward dog
es: saludar al sol cada mañana
de: morgens zehn Minuten Yoga machen
fr: faire du yoga chaque matin
pt: praticar ioga toda manhã

# mobility
things: five minutes for tight shoulders | a desk worker's spine | ankles that finally move | the deep squat challenge
acts: rolling out sore calves | loosening hips after a long drive | opening a stiff upper back | testing my splits again
tips: circle your wrists before you type | sit on the floor while you watch series | move slowly into the stretch
es: estirar la espalda en cinco minutos
de: den Rücken in fünf Minuten lockern
fr: étirer le dos en cinq minutes
pt: alongar as costas em cinco minutos

# home workout
things: a chair, a towel and twelve minutes | the quiet workout for thin floors | planks with a toddler on top | a staircase workout
acts: doing burpees between meetings | sweating to a kitchen timer | lifting water bottles and a backpack | training legs without jumping
tips: set a timer and start small | use the backpack as a weight | warm up with the stairs
es: entrenar en casa sin máquinas
de: zu Hause ohne Geräte trainieren
fr: faire du sport à la maison sans matériel
pt: treinar em casa sem aparelhos
"""
