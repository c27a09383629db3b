"""Names of invented people: in each list the commonest first, drawn 1/n as often at rank n."""

WOMEN = (
    "María Guadalupe", "Juana", "Margarita", "Verónica", "Rosa María", "Leticia", "Alejandra", "Elizabeth", "Gabriela",
    "Fernanda", "Ana Sofía", "Ximena", "Valentina", "Renata", "Araceli", "Yolanda", "Inés", "Concepción", "Begoña",
    "Citlali",
)  # fmt: skip
MEN = (
    "José Luis", "Juan", "Miguel Ángel", "Francisco", "Jesús", "Antonio", "Alejandro", "Pedro", "Manuel", "Carlos",
    "Santiago", "Mateo", "Sebastián", "Iván", "Óscar", "Rubén", "Adrián", "Íñigo", "Cuauhtémoc", "Zacarías",
)  # fmt: skip
SURNAMES = (
    "Hernández", "García", "Martínez", "López", "González", "Pérez", "Rodríguez", "Sánchez", "Ramírez", "Cruz",
    "Flores", "Gómez", "Morales", "Vázquez", "Reyes", "Jiménez", "Torres", "Díaz", "Gutiérrez", "Ruiz", "Mendoza",
    "Aguilar", "Ortiz", "Moreno", "Castillo", "Romero", "Álvarez", "Méndez", "Chávez", "Rivera", "Juárez", "Ramos",
    "Domínguez", "Herrera", "Medina", "Castro", "Vargas", "Guzmán", "Velázquez", "Muñoz", "Rojas", "Contreras",
    "Salazar", "Luna", "Ortega", "Guerrero", "Estrada", "Núñez", "Peña", "Ibáñez", "Zúñiga", "Xicoténcatl", "Yáñez",
    "Quiñones", "Urrutia",
)  # fmt: skip
