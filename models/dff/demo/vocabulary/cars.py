"""Phrases of the topic cars; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in a single-car garage | after twenty years in a barn | with borrowed tools | on a cold start | for my first ever car
    | at minus ten degrees | before the inspection | on a mountain road
lengths: 15 75

# restoration
things: a barn find with a bird's nest | rust where the door should be | a dashboard from the seventies | my father's old pickup
acts: welding a new floor into a hatchback | waking an engine after two decades | sanding a bonnet down to bare metal
    | restitching a torn leather seat
tips: label every bolt in a bag | soak the rusty nut overnight | photograph the wiring first
es: restaurar un coche abandonado
de: einen alten Kombi restaurieren
fr: restaurer une vieille voiture
pt: restaurar um carro antigo

# detailing
things: the dirtiest carpet I ever cleaned | a foam wash in slow motion | headlights from yellow to clear | a paint swirl under the lamp
acts: brushing sand out of the vents | polishing a scratched door | steaming a family car clean | cleaning wheels with a soft brush
tips: wash from the roof down | use a second bucket for rinsing | dry the mirrors before the windows
es: limpiar un coche muy sucio
de: ein völlig verdrecktes Auto reinigen
fr: nettoyer une voiture très sale
pt: limpar um carro muito sujo

# driving
things: a hill start without panic | the tightest parking space in town | heel and toe in slow motion | a roundabout with five exits
acts: parallel parking a long estate car | teaching my mother to drive stick | reversing a trailer around a corner
    | driving on ice with an instructor
tips: look where you want to go | brake before the corner | check the blind spot twice
es: aparcar en un hueco imposible
de: in eine winzige Lücke einparken
fr: faire un créneau impossible
pt: estacionar numa vaga apertada

# engines
things: a three-cylinder engine, taken apart | the noise that wasn't the belt | a carburettor on the kitchen table
    | pistons under a bright lamp
acts: changing oil without the mess | adjusting valves by feel | listening for a misfire | swapping a tired engine
tips: warm the engine before draining the oil | tighten the head bolts crosswise | replace the cheap gasket too
es: cambiar el aceite sin manchar
de: das Öl selbst wechseln
fr: faire la vidange sans aller au garage
pt: trocar o óleo sem sujeira

# electric cars
things: an electric van after winter | home charging on a plain socket | the quietest taxi in town | range anxiety in numbers
acts: converting an old coupe to electric | counting kilowatt hours on a cold day | charging a car from the roof
    | opening a battery pack safely
tips: preheat the cabin while plugged in | charge to eighty on long trips | coast downhill and watch the range
es: cargar el coche en casa
de: das Elektroauto zu Hause laden
fr: recharger la voiture à la maison
pt: carregar o carro em casa
"""
