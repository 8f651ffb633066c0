"""Phrases of the topic football; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in the last minute | on a frozen pitch | under the floodlights | with the weaker foot | in front of twelve fans
    | against last year's champions | on a muddy Sunday | in stoppage time
lengths: 8 45

# free kicks
things: a free kick over the wall | the knuckleball that dipped late | a curling shot from twenty-five metres | two taps and a rocket
acts: bending free kicks around a bin | hitting the crossbar from thirty metres | practising set pieces until dark
    | rolling a free kick under the wall
tips: plant your foot beside the ball | strike the valve side low | look at the keeper, then shoot
es: tirar faltas con rosca
de: Freistöße über die Mauer schießen
fr: tirer un coup franc enroulé
pt: cobrar faltas com efeito

# goalkeeping
things: a fingertip save | the goalkeeper with mismatched gloves | a triple save in ten seconds | penalty saves in slow motion
acts: diving on wet grass for an hour | training reflexes with tennis balls | saving a penalty with one leg
    | punching crosses out of the box
tips: set your feet before the shot | attack the ball with both hands | shout for every cross
es: parar un penalti
de: einen Elfmeter halten
fr: arrêter un penalty
pt: defender um pênalti

# five-a-side
things: a backheel in a cage match | the shortest warm-up in amateur football | a nutmeg worth the yellow card | our five-a-side comeback
acts: scoring straight from a goal kick indoors | playing street football with my uncle | dribbling through three defenders in a cage
    | arguing about a handball for ten minutes
tips: use the wall as a teammate | keep the ball on the sole | rotate the keeper every goal
es: jugar un partido de fútbol sala
de: im Käfig Fußball spielen
fr: jouer au foot à cinq
pt: jogar futebol de salão

# tactics
things: a back three on a whiteboard | the high press with bottle caps | an offside trap gone wrong | the false nine for beginners
acts: drawing our counterattack on a napkin | explaining the low block with sugar cubes | breaking down one perfect passing move
    | moving a full back into midfield
tips: check your shoulder before the pass | press when the pass is backwards | keep ten metres between the lines
es: explicar la presión alta
de: das Gegenpressing erklären
fr: expliquer le pressing haut
pt: explicar a marcação alta

# youth training
things: the under-nines' greatest goal | a passing drill with four cones | the rondo that kids love | first boots, first goal
acts: coaching toddlers who chase butterflies | teaching weak-foot passing to kids | juggling the ball to a hundred
    | running a drill with hula hoops
tips: let the kids choose the game | praise the pass before the goal | shrink the pitch for small players
es: entrenar a los más pequeños
de: mit den Kleinsten Pässe üben
fr: entraîner les plus petits
pt: treinar os pequenos craques
"""
